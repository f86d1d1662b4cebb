#include "reconcile/driver_call.h"

#include <fmt/format.h>

#include <exception>
#include <mutex>
#include <optional>

#include "base/text.h"

namespace ctl::reconcile {

namespace {

Error thrown(const drivers::Driver& driver, const std::exception& exception) {
    return {ErrorCode::internal, fmt::format("the driver {} failed: {}", driver.info().name, escaped(exception.what()))};
}

}  // namespace

Result<model::HostState> call_observe(drivers::Driver& driver, const drivers::Interest& interest, std::stop_token stop) {
    try {
        return driver.observe(interest, std::move(stop));
    } catch (const std::exception& exception) {
        return thrown(driver, exception);
    }
}

Result<std::map<model::ObjectId, drivers::Facts>> call_facts(drivers::Driver& driver, const std::set<model::ObjectId>& ids,
                                                             std::stop_token stop) {
    try {
        return driver.facts(ids, std::move(stop));
    } catch (const std::exception& exception) {
        return thrown(driver, exception);
    }
}

std::vector<Error> call_preflight(drivers::Driver& driver, std::span<const diff::Change> changes) {
    try {
        return driver.preflight(changes);
    } catch (const std::exception& exception) {
        return {thrown(driver, exception)};
    }
}

std::vector<Status> call_apply(drivers::Driver& driver, std::span<const diff::Change> changes, std::stop_token stop) {
    std::mutex mutex;
    std::vector<std::optional<Status>> reported(changes.size());
    const auto report = [&](std::size_t index, Status outcome) {
        const std::lock_guard hold(mutex);
        if (index < reported.size()) reported[index] = std::move(outcome);
    };
    Error silent(ErrorCode::internal, fmt::format("the driver {} did not say how it went", driver.info().name));
    try {
        driver.apply(changes, report, std::move(stop));
    } catch (const std::exception& exception) {
        silent = thrown(driver, exception);
    }
    const std::lock_guard hold(mutex);
    std::vector<Status> outcomes;
    for (auto& outcome : reported) outcomes.push_back(outcome ? std::move(*outcome) : Status(silent));
    return outcomes;
}

}  // namespace ctl::reconcile
