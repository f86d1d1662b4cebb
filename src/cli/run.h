#pragma once

#include <chrono>
#include <functional>

#include "cli/planning.h"
#include "cli/session.h"
#include "cli/terminal.h"

namespace ctl::cli {

/// How apply and delete run a plan.
struct RunOptions {
    PlanningOptions planning;
    bool yes = false;
    unsigned parallelism = 0;
    std::string on_failure = "keep";  ///< keep or rollback
    /// A killed ctl keeps its lock until the kernel has taken it apart.
    std::chrono::seconds lock_timeout{2};
    std::string format = "text";  ///< text or json
};

/// Those of every command that runs a plan: --lock-timeout and --output.
void add_run_choice(CLI::App& command, RunOptions& options);
void add_run_options(CLI::App& command, RunOptions& options);

/// Makes the plan; called with the lock held.
using MakePlan = std::function<Result<reconcile::Prepared>(const reconcile::Environment&, std::stop_token)>;

/// Lock, plan, show, confirm, apply, show the result; rolls back if asked to. What apply and delete have in common.
[[nodiscard]] ExitCode run_plan(const RunOptions& options, const GlobalOptions& global, const MakePlan& make_plan);

}  // namespace ctl::cli
