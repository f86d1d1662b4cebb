#pragma once

#include <sys/eventfd.h>
#include <unistd.h>

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/fd.h"
#include "drivers/api/driver.h"
#include "reconcile/driver_set.h"
#include "reconcile/plan.h"

// A host of few words for the executor's and the watch loop's tests: what is applied is there, unless a test says otherwise.

namespace ctl::testing {

struct TinyHost {
    std::mutex mutex;
    model::HostState state;
    std::map<std::string, std::string> failures;         // "create link/a" → message
    std::vector<std::string> silent;                     // ids that take a change without showing it
    std::vector<std::string> applied;                    // "create link/a", in order of completion
    std::vector<std::size_t> batches;                    // sizes
    std::function<void(const diff::Change&)> on_change;  // called without the mutex
    bool throws = false;
    std::size_t observations = 0;

    std::vector<std::string> done() {
        const std::lock_guard hold(mutex);
        return applied;
    }
    bool has(const std::string& id) {
        const std::lock_guard hold(mutex);
        return state.contains(*model::ObjectId::parse(id));
    }
};

class TinyDriver final : public drivers::Driver {
public:
    TinyDriver(std::string name, std::set<model::ObjectKind> kinds, TinyHost& host, bool waits = false)
        : info_{std::move(name), "for tests", std::move(kinds), waits},
          host_(host),
          event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

    const drivers::DriverInfo& info() const override { return info_; }

    Result<model::HostState> observe(const drivers::Interest& interest, std::stop_token) override {
        const std::lock_guard hold(host_.mutex);
        ++host_.observations;
        model::HostState seen;
        for (const auto& [id, entry] : host_.state)
            if (info_.kinds.contains(id.kind) && (interest.all || interest.ids.contains(id))) seen.emplace(id, entry);
        return seen;
    }

    std::vector<Error> preflight(std::span<const diff::Change>) override { return {}; }

    void apply(std::span<const diff::Change> changes, const drivers::Report& report, std::stop_token stop) override {
        {
            const std::lock_guard hold(host_.mutex);
            host_.batches.push_back(changes.size());
            if (host_.throws) throw std::runtime_error("thrown by a library");
        }
        for (std::size_t i = 0; i < changes.size(); ++i) {
            if (stop.stop_requested()) report(i, Error(ErrorCode::cancelled, "not begun"));
            else report(i, make(changes[i]));
        }
        ring();
    }

    std::vector<drivers::EventSource> events() override { return {{event_.get(), "everything"}}; }

    bool drain(int fd) override {
        std::uint64_t count = 0;
        return ::read(fd, &count, sizeof count) == sizeof count;
    }

    /// Something happened on the host.
    void ring() {
        const std::uint64_t one = 1;
        (void)!::write(event_.get(), &one, sizeof one);
    }

private:
    Status make(const diff::Change& change) {
        const auto what = std::string(diff::to_string(change.verb)) + " " + change.id.str();
        if (host_.on_change) host_.on_change(change);
        const std::lock_guard hold(host_.mutex);
        if (const auto failure = host_.failures.find(what); failure != host_.failures.end())
            return Error(ErrorCode::io, failure->second);
        host_.applied.push_back(what);
        for (const auto& id : host_.silent)
            if (id == change.id.str()) return ok();
        if (change.verb == diff::Verb::remove) host_.state.erase(change.id);
        else if (change.desired) {
            auto entry = *change.desired;
            entry.mark = model::Mark::complete;
            host_.state.insert_or_assign(change.id, std::move(entry));
        }
        return ok();
    }

    drivers::DriverInfo info_;
    TinyHost& host_;
    Fd event_;
};

/// Three drivers: links and the rest of the network, containers and their storage, and what is waited for.
inline reconcile::DriverSet tiny_drivers(TinyHost& host) {
    using model::ObjectKind;
    std::vector<std::unique_ptr<drivers::Driver>> drivers;
    drivers.push_back(std::make_unique<TinyDriver>(
        "net", std::set{ObjectKind::link, ObjectKind::netns, ObjectKind::route, ObjectKind::sysctl, ObjectKind::ovs_bridge},
        host));
    drivers.push_back(std::make_unique<TinyDriver>(
        "box",
        std::set{ObjectKind::pool, ObjectKind::image, ObjectKind::volume, ObjectKind::snapshot, ObjectKind::container},
        host));
    drivers.push_back(std::make_unique<TinyDriver>("wait", std::set{ObjectKind::readiness}, host, true));
    return reconcile::DriverSet(std::move(drivers));
}

inline model::Entry link_entry(std::int64_t mtu, const std::string& stack = "lab") {
    model::Entry entry;
    model::Link link;
    link.mtu = mtu;
    entry.object = link;
    entry.owner = {stack, "Network", "n"};
    return entry;
}

inline model::Entry container_entry(model::ContainerState state = model::ContainerState::running) {
    model::Entry entry;
    model::Container container;
    container.state = state;
    entry.object = container;
    entry.owner = {"lab", "Container", "c"};
    return entry;
}

/// A plan by hand: steps with the indexes of what they need.
class PlanBuilder {
public:
    std::size_t add(diff::Verb verb, const std::string& id, model::Entry entry, std::vector<std::size_t> needs = {}) {
        diff::Change change;
        change.id = *model::ObjectId::parse(id);
        change.verb = verb;
        if (verb != diff::Verb::remove) change.desired = entry;
        if (verb != diff::Verb::remove) wanted.insert_or_assign(change.id, std::move(entry));
        plan.changes.push_back(change);
        plan.steps.push_back({std::move(change), std::move(needs)});
        return plan.steps.size() - 1;
    }
    std::size_t create_link(const std::string& name, std::vector<std::size_t> needs = {}) {
        return add(diff::Verb::create, "link/" + name, link_entry(1500), std::move(needs));
    }
    std::size_t create_container(const std::string& name, std::vector<std::size_t> needs = {}) {
        return add(diff::Verb::create, "container/" + name, container_entry(), std::move(needs));
    }

    std::size_t wait_for(const std::string& condition, std::vector<std::size_t> needs = {}) {
        model::Entry entry;
        entry.object = model::Readiness{};
        entry.owner = {"lab", "Container", "c"};
        return add(diff::Verb::create, "readiness/" + condition, std::move(entry), std::move(needs));
    }

    reconcile::Plan plan{"lab", {}, {}, {}};
    model::HostState wanted;
};

}  // namespace ctl::testing
