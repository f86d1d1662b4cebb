#pragma once

#include <cstddef>
#include <stop_token>
#include <vector>

#include "base/result.h"
#include "drivers/api/driver.h"
#include "reconcile/clock.h"
#include "reconcile/journal.h"
#include "reconcile/plan.h"

namespace ctl::reconcile {

/// How the steps of one batch ended, in the batch's order.
struct BatchResult {
    std::vector<Status> outcomes;     ///< `cancelled` for a step the driver never began
    std::vector<StepResult> results;  ///< for the journal
};

/// Has a driver make independent steps so, waits until the host shows them (up to `deadline`, looking again with growing
/// pauses), and decides what to remember. `wanted` has the objects as the manifest does; `recorded` what was remembered.
[[nodiscard]] BatchResult run_batch(drivers::Driver& driver, const Plan& plan, const std::vector<std::size_t>& steps,
                                    const model::HostState& wanted, const model::HostState& recorded, Clock& clock,
                                    std::chrono::milliseconds deadline, std::stop_token stop);

}  // namespace ctl::reconcile
