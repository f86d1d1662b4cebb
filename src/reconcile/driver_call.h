#pragma once

#include <functional>
#include <span>
#include <stop_token>
#include <vector>

#include "base/result.h"
#include "drivers/api/driver.h"

// Calls into a driver at the boundary: an exception that a driver (or the C++ library under it) lets out becomes an error.

namespace ctl::reconcile {

[[nodiscard]] Result<model::HostState> call_observe(drivers::Driver& driver, const drivers::Interest& interest,
                                                    std::stop_token stop);

[[nodiscard]] Result<std::map<model::ObjectId, drivers::Facts>> call_facts(drivers::Driver& driver,
                                                                           const std::set<model::ObjectId>& ids,
                                                                           std::stop_token stop);

[[nodiscard]] std::vector<Error> call_preflight(drivers::Driver& driver, std::span<const diff::Change> changes);

/// One outcome per change; those the driver forgot to report are internal errors.
[[nodiscard]] std::vector<Status> call_apply(drivers::Driver& driver, std::span<const diff::Change> changes,
                                             std::stop_token stop);

}  // namespace ctl::reconcile
