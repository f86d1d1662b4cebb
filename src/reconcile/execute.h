#pragma once

#include <chrono>
#include <stop_token>

#include "model/host_state.h"
#include "reconcile/clock.h"
#include "reconcile/driver_set.h"
#include "reconcile/journal.h"
#include "reconcile/plan.h"
#include "reconcile/reporter.h"
#include "reconcile/run_report.h"

namespace ctl::reconcile {

struct ExecuteOptions {
    unsigned parallelism = 0;  ///< steps in flight at most; 0: no bound but the drivers' own
    std::chrono::milliseconds verify_deadline =
        std::chrono::seconds(5);  ///< for what settles after the call that asked for it
};

/// What the journal is to remember of the objects that steps touch.
struct Records {
    const model::HostState& wanted;    ///< objects as the manifest has them: the record of a step that is done
    const model::HostState& recorded;  ///< what is remembered so far: kept beside it for a step that failed half-way
};

/// Runs a plan whose run the journal has begun: ready steps go to their drivers in batches, one worker thread per driver. A
/// step is done when observing its object again shows what was wanted. A failure stops only what depends on it. After `stop`
/// nothing new begins, what runs is finished. All kinds of the plan must have their driver (DriverSet::require).
[[nodiscard]] RunReport execute(const Plan& plan, RunId run, const Records& records, const DriverSet& drivers,
                                Journal& journal, Clock& clock, Reporter& reporter, const ExecuteOptions& options,
                                std::stop_token stop);

}  // namespace ctl::reconcile
