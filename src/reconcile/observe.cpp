#include "reconcile/observe.h"

#include <fmt/format.h>

#include <thread>

#include "reconcile/driver_call.h"

namespace ctl::reconcile {

namespace {

/// One driver's part of an observation.
struct Part {
    drivers::Driver* driver = nullptr;
    std::set<model::ObjectId> ids;
    Result<model::HostState> seen = model::HostState{};
};

std::vector<Part> parts_of(const DriverSet& drivers, const std::set<model::ObjectId>& ids) {
    std::vector<Part> parts;
    for (const auto& driver : drivers.all()) {
        Part part;
        part.driver = driver.get();
        for (const auto& id : ids)
            if (drivers.for_kind(id.kind) == driver.get()) part.ids.insert(id);
        parts.push_back(std::move(part));
    }
    return parts;
}

void observe_all(std::vector<Part>& parts, const std::stop_token& stop) {
    std::vector<std::jthread> threads;
    for (auto& part : parts)
        threads.emplace_back([&part, stop] { part.seen = call_observe(*part.driver, {true, part.ids}, stop); });
}

}  // namespace

Result<Observation> observe(const DriverSet& drivers, const std::set<model::ObjectId>& ids, std::stop_token stop) {
    std::set<model::ObjectKind> kinds;
    for (const auto& id : ids) kinds.insert(id.kind);
    CTL_TRY(drivers.require(kinds));

    auto parts = parts_of(drivers, ids);
    observe_all(parts, stop);

    Observation observation;
    for (auto& part : parts) {
        if (part.seen) {
            observation.state.merge(*part.seen);
            continue;
        }
        auto error =
            std::move(part.seen).error().while_(fmt::format("observing by the driver {}", part.driver->info().name));
        if (!part.ids.empty()) return error;
        observation.failures.push_back(std::move(error));
    }
    return observation;
}

Result<std::map<model::ObjectId, drivers::Facts>> facts(const DriverSet& drivers, const std::set<model::ObjectId>& ids,
                                                        std::stop_token stop) {
    std::map<model::ObjectId, drivers::Facts> all;
    for (const auto& part : parts_of(drivers, ids)) {
        if (part.ids.empty()) continue;
        CTL_ASSIGN(auto told, call_facts(*part.driver, part.ids, stop));
        all.merge(told);
    }
    return all;
}

}  // namespace ctl::reconcile
