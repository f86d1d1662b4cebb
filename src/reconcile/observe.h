#pragma once

#include <map>
#include <set>
#include <stop_token>
#include <vector>

#include "base/result.h"
#include "drivers/api/driver.h"
#include "model/host_state.h"
#include "reconcile/driver_set.h"

namespace ctl::reconcile {

struct Observation {
    model::HostState state;
    /// Drivers that failed though nothing of theirs was asked for: told to people, not fatal.
    std::vector<Error> failures;
};

/// Asks all drivers at once, each in its own thread, for all they have and for `ids`. An error when a driver that has to
/// look for one of `ids` is missing or fails.
[[nodiscard]] Result<Observation> observe(const DriverSet& drivers, const std::set<model::ObjectId>& ids,
                                          std::stop_token stop = {});

/// What the drivers tell of these objects beside their state. The first driver that fails is the error.
[[nodiscard]] Result<std::map<model::ObjectId, drivers::Facts>> facts(const DriverSet& drivers,
                                                                      const std::set<model::ObjectId>& ids,
                                                                      std::stop_token stop = {});

}  // namespace ctl::reconcile
