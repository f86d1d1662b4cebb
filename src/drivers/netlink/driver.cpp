#include "drivers/netlink/driver.h"

#include <fmt/format.h>

#include <algorithm>

#include "drivers/netlink/counters.h"
#include "drivers/netlink/link_batch.h"
#include "drivers/netlink/loans.h"
#include "drivers/netlink/neighbour_batch.h"
#include "drivers/netlink/netns_batch.h"
#include "drivers/netlink/observe.h"
#include "drivers/netlink/probe.h"
#include "drivers/netlink/route_batch.h"
#include "drivers/netlink/watch.h"

namespace ctl::drivers {

namespace {

using diff::Change;
using diff::Verb;
using model::Link;
using model::ObjectId;
using model::ObjectKind;

class NetlinkDriver final : public Driver {
public:
    NetlinkDriver(const DriverContext& context, netlink::Watch watch) : scopes_(context.run_dir), watch_(std::move(watch)) {}

    const DriverInfo& info() const override { return info_; }

    Result<model::HostState> observe(const Interest& interest, std::stop_token stop) override {
        return netlink::observe_scopes(scopes_, interest, stop);
    }

    std::vector<Error> preflight(std::span<const Change> changes) override {
        std::vector<Error> errors;
        const bool writes =
            std::any_of(changes.begin(), changes.end(), [](const Change& c) { return c.verb != Verb::stop; });
        if (writes && !netlink::may_change_network()) {
            errors.push_back(
                Error(ErrorCode::permission,
                      fmt::format("{} can't be changed without the right to change the network", changes.front().id.str()))
                    .hint("run it as root"));
            return errors;
        }
        // What can't be listed is found out when it is changed.
        const auto host = scopes_.refresh() ? netlink::read_snapshot(scopes_.host().socket)
                                            : Result<netlink::Snapshot>(Error(ErrorCode::io, ""));
        if (!host) return errors;
        for (const Change& change : changes)
            if (auto outcome = check(change, changes, *host); !outcome)
                errors.push_back(diff::refusal(std::move(outcome).error(), change));
        return errors;
    }

    void apply(std::span<const Change> changes, const Report& report, std::stop_token stop) override {
        auto refreshed = scopes_.refresh();
        if (!refreshed) {
            for (std::size_t i = 0; i < changes.size(); ++i) report(i, refreshed.error());
            return;
        }
        apply_namespaces(changes, report, stop);
        apply_links(changes, report, stop);
        apply_all(netlink::apply_routes, ObjectKind::route, changes, report, stop);
        apply_all(netlink::apply_neighbours, ObjectKind::neighbour, changes, report, stop);
    }

    Result<std::map<ObjectId, Facts>> facts(const std::set<ObjectId>& ids, std::stop_token /*stop*/) override {
        return netlink::read_counters(scopes_, ids);
    }

    std::vector<EventSource> events() override { return {{watch_.fd(), "links, addresses and routes"}}; }

    bool drain(int fd) override {
        return fd == watch_.fd() && watch_.drain([this](int number) { return scopes_.by_number(number) != nullptr; });
    }

private:
    /// Reports "stopped" or "cancelled" for the changes that need no work, and returns those of the kind that do.
    static std::vector<std::size_t> due(std::span<const Change> changes, ObjectKind kind, const Report& report,
                                        const std::stop_token& stop) {
        std::vector<std::size_t> indexes;
        for (std::size_t i = 0; i < changes.size(); ++i) {
            if (changes[i].id.kind != kind) continue;
            if (changes[i].verb == Verb::stop) report(i, ok());
            else if (stop.stop_requested())
                report(i, Error(ErrorCode::cancelled, fmt::format("{}: interrupted before it began", changes[i].id.str())));
            else indexes.push_back(i);
        }
        return indexes;
    }

    void apply_namespaces(std::span<const Change> changes, const Report& report, const std::stop_token& stop) {
        const auto indexes = due(changes, ObjectKind::netns, report, stop);
        std::vector<const Change*> batch;
        for (const std::size_t i : indexes) batch.push_back(&changes[i]);
        auto outcomes = netlink::apply_namespaces(scopes_, batch, stop);
        for (std::size_t i = 0; i < indexes.size(); ++i) report(indexes[i], std::move(outcomes[i]));
    }

    void apply_links(std::span<const Change> changes, const Report& report, const std::stop_token& stop) {
        std::vector<netlink::LinkJob> jobs;
        for (const std::size_t i : due(changes, ObjectKind::link, report, stop))
            jobs.push_back(netlink::make_link_job(i, changes[i]));
        if (jobs.empty()) return;
        for (auto& job : netlink::LinkBatch(scopes_, std::move(jobs)).run()) report(job.index, std::move(job.outcome));
    }

    using Batch = std::vector<Status> (*)(netlink::Scopes&, std::span<const Change* const>);

    void apply_all(Batch apply_batch, ObjectKind kind, std::span<const Change> changes, const Report& report,
                   const std::stop_token& stop) {
        const auto indexes = due(changes, kind, report, stop);
        std::vector<const Change*> batch;
        for (const std::size_t i : indexes) batch.push_back(&changes[i]);
        auto outcomes = apply_batch(scopes_, batch);
        for (std::size_t i = 0; i < indexes.size(); ++i) report(indexes[i], std::move(outcomes[i]));
    }

    Status check(const Change& change, std::span<const Change> all, const netlink::Snapshot& host) {
        const Link* link = change.desired ? std::get_if<Link>(&change.desired->object) : nullptr;
        if (link == nullptr || (change.verb != Verb::create && change.verb != Verb::replace && change.verb != Verb::update))
            return ok();
        const auto name = model::ScopedName::parse(change.id.name);
        if (change.desired->borrowed && name.netns.empty() && !will_be_there(name.name, change, all, host))
            return Error(ErrorCode::not_found, fmt::format("{} is not there, and ctl does not make it", change.id.str()))
                .hint("list the host's links with: ip link");
        if (link->hardware) CTL_TRY(check_hardware(*link->hardware, change, all, host));
        if (link->send_limit) CTL_TRY(probe_.limits_sending());
        if (link->receive_limit) CTL_TRY(probe_.limits_receiving());
        if (change.verb == Verb::update || !link->type) return ok();
        if (link->parent && !will_be_there(*link->parent, change, all, host))
            return Error(ErrorCode::not_found,
                         fmt::format("the parent of {}, {}, is not there", change.id.str(), *link->parent))
                .hint("list the host's links with: ip link");
        return probe_.supports(*link->type);
    }

    Status check_hardware(const std::string& name, const Change& change, std::span<const Change> all,
                          const netlink::Snapshot& host) {
        const bool is_freed = std::any_of(all.begin(), all.end(), [&](const Change& other) {
            const Link* link = other.observed ? std::get_if<Link>(&other.observed->object) : nullptr;
            return link != nullptr && link->hardware == name;
        });
        if (is_freed) return ok();
        if (const netlink::LinkRecord* nic = host.link(name)) return netlink::check_may_be_lent(*nic, host, change.id);
        return Error(ErrorCode::not_found, fmt::format("the NIC that {} shall be, {}, is not there", change.id.str(), name))
            .hint("list the host's links with: ip link");
    }

    /// On the host now, made by the same changes, or by another driver before (an Open vSwitch bridge's own link).
    static bool will_be_there(const std::string& name, const Change& asking, std::span<const Change> all,
                              const netlink::Snapshot& host) {
        if (host.link(name) != nullptr) return true;
        const auto made = [&](const Change& c) {
            return c.id == ObjectId{ObjectKind::link, name} && c.verb != Verb::remove && &c != &asking;
        };
        if (std::any_of(all.begin(), all.end(), made)) return true;
        const auto& needs = asking.desired->needs;
        return std::any_of(needs.begin(), needs.end(), [&](const model::Need& need) {
            return need.id.name == name && need.id.kind != ObjectKind::link;
        });
    }

    DriverInfo info_{"netlink",
                     "network namespaces, links, addresses, routes and neighbours",
                     {ObjectKind::netns, ObjectKind::link, ObjectKind::route, ObjectKind::neighbour}};
    netlink::Scopes scopes_;
    netlink::Watch watch_;
    netlink::KernelProbe probe_;
};

}  // namespace

Result<std::unique_ptr<Driver>> make_netlink_driver(const DriverContext& context) {
    CTL_ASSIGN(auto watch, netlink::Watch::open());
    return std::unique_ptr<Driver>(std::make_unique<NetlinkDriver>(context, std::move(watch)));
}

}  // namespace ctl::drivers
