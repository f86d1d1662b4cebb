#include "drivers/ovs/driver.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "drivers/ovs/batch.h"
#include "drivers/ovs/database.h"
#include "drivers/ovs/datapath.h"
#include "drivers/ovs/flows.h"
#include "drivers/ovs/rows.h"

namespace ctl::drivers {

namespace {

using diff::Change;
using diff::Verb;
using model::ObjectId;
using model::ObjectKind;

constexpr const char* default_database = "unix:/var/run/openvswitch/db.sock";
constexpr std::int64_t patience = 5000;  // milliseconds for reading

bool is_our_kind(const ObjectId& id) {
    return id.kind == ObjectKind::ovs_bridge || id.kind == ObjectKind::ovs_port || id.kind == ObjectKind::ovs_flows;
}

class OvsDriver final : public Driver {
public:
    explicit OvsDriver(const DriverContext& context)
        : database_(context.ovs_db.empty() ? default_database : context.ovs_db) {}

    const DriverInfo& info() const override { return info_; }

    Result<model::HostState> observe(const Interest& interest, std::stop_token stop) override {
        const auto wanted = std::ranges::find_if(interest.ids, is_our_kind);
        if (!interest.all && wanted == interest.ids.end()) return model::HostState{};
        if (stop.stop_requested())
            return Error(ErrorCode::cancelled, "interrupted before reading the Open vSwitch database");
        Status outcome = ok();
        ovs::Rows rows;
        model::HostState state;
        database_.run([&](ovs::Connection& connection) {
            outcome = connection.connect(ctl_ovs_now() + patience, false);
            if (!outcome) return;
            rows = ovs::read_rows(connection.replica());
            outcome = ovs::observe_flows(connection.switches(), rows, interest, state);
        });
        if (!outcome) {
            if (outcome.error().code() != ErrorCode::missing_driver) return outcome.error();
            if (wanted == interest.ids.end()) return model::HostState{};
            return Error(ErrorCode::missing_driver,
                         fmt::format("{} needs Open vSwitch, but {}", escaped(wanted->str()), outcome.error().message()))
                .hint(outcome.error().hint());
        }
        for (auto& [id, row] : rows)
            if (interest.all || interest.ids.contains(id)) state.emplace(id, std::move(row.entry));
        return state;
    }

    std::vector<Error> preflight(std::span<const Change> changes) override {
        std::vector<Error> errors;
        for (const Change& change : changes) {
            const auto* bridge = change.desired ? std::get_if<model::OvsBridge>(&change.desired->object) : nullptr;
            const bool is_made = change.verb == Verb::create || change.verb == Verb::replace;
            if (!is_made || bridge == nullptr || bridge->datapath != "system" || ovs::kernel_has_datapath()) continue;
            errors.push_back(diff::refusal(
                Error(ErrorCode::unsupported,
                      fmt::format("{} asks for the datapath system, which this kernel does not have", change.id.str()))
                    .hint("modprobe openvswitch, or set openvswitch.datapath: netdev"),
                change));
        }
        return errors;
    }

    void apply(std::span<const Change> changes, const Report& report, std::stop_token stop) override {
        std::vector<std::size_t> rows;
        std::vector<std::size_t> flows;
        for (std::size_t i = 0; i < changes.size(); ++i)
            (changes[i].id.kind == ObjectKind::ovs_flows ? flows : rows).push_back(i);
        apply_rows(changes, rows, report, stop);
        apply_flows(changes, flows, report, stop);
    }

    std::vector<EventSource> events() override {
        database_.watch_flows();
        return {{database_.event_fd(), "Open vSwitch's database and flows"}};
    }

    bool drain(int fd) override { return fd == database_.event_fd() && database_.drain_event(); }

private:
    using Indexes = std::vector<std::size_t>;

    void apply_rows(std::span<const Change> changes, const Indexes& indexes, const Report& report,
                    const std::stop_token& stop) {
        std::vector<const Change*> batch;
        for (const std::size_t i : indexes) batch.push_back(&changes[i]);
        auto outcomes = ovs::apply_batch(database_, batch, stop);
        for (std::size_t i = 0; i < outcomes.size(); ++i) report(indexes[i], std::move(outcomes[i]));
    }

    void apply_flows(std::span<const Change> changes, const Indexes& indexes, const Report& report,
                     const std::stop_token& stop) {
        std::vector<const Change*> batch;
        Indexes due;
        for (const std::size_t i : indexes) {
            if (stop.stop_requested()) {
                report(i, Error(ErrorCode::cancelled, fmt::format("{}: interrupted before it began", changes[i].id.str())));
                continue;
            }
            batch.push_back(&changes[i]);
            due.push_back(i);
        }
        if (batch.empty()) return;
        auto outcomes = ovs::apply_flows(database_, batch);
        for (std::size_t i = 0; i < outcomes.size(); ++i) report(due[i], std::move(outcomes[i]));
    }

    DriverInfo info_{"ovs",
                     "bridges, ports and flows of Open vSwitch",
                     {ObjectKind::ovs_bridge, ObjectKind::ovs_port, ObjectKind::ovs_flows}};
    ovs::Database database_;
};

}  // namespace

Result<std::unique_ptr<Driver>> make_ovs_driver(const DriverContext& context) {
    return std::unique_ptr<Driver>(std::make_unique<OvsDriver>(context));
}

}  // namespace ctl::drivers
