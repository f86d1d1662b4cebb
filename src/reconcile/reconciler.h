#pragma once

#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/diagnostics.h"
#include "base/result.h"
#include "model/host_state.h"
#include "model/lower.h"
#include "model/resource.h"
#include "reconcile/clock.h"
#include "reconcile/driver_set.h"
#include "reconcile/execute.h"
#include "reconcile/journal.h"
#include "reconcile/plan.h"
#include "reconcile/reporter.h"
#include "reconcile/run_report.h"

namespace ctl::reconcile {

/// What every reconciliation works with. Wired once, by the caller.
struct Environment {
    DriverSet& drivers;
    Journal& journal;
    Clock& clock;
    Reporter& reporter;
    model::HostLayout layout;
};

struct PrepareOptions {
    bool allow_empty = false;                                 ///< an empty stack may delete all that it had
    std::optional<model::OnRestartNeeded> on_restart_needed;  ///< overrides every container's own policy
    std::optional<model::HostState> host_state;               ///< plan against this instead of observing
    /// Containers and volumes are not deleted or replaced: they stay as they were last applied, with what they need.
    bool keep_data = false;
};

/// What the journal knew of a stack before a run.
struct Memory {
    model::HostState recorded;
    model::Allocations allocations;
    std::vector<DeclaredResource> resources;
};

/// All that is known before the first change: the three states, what was chosen, the plan. A value: nothing is written yet.
struct Prepared {
    std::string stack;
    model::HostState desired;
    model::HostState observed;
    model::HostState recorded;  ///< with unfinished steps of dead runs judged by what the host shows
    model::Allocations allocations;
    std::vector<DeclaredResource> resources;
    Memory before;              ///< as the journal had it
    std::size_t recovered = 0;  ///< unfinished steps of dead runs among it
    /// An undo's: what shall be remembered once all of it is done.
    std::optional<model::HostState> restored_record;
    std::vector<model::ObjectId> held_back;  ///< with keep_data: what would have been deleted or replaced
    Plan plan;                               ///< its notes hold all that is to be read beside it
    Diagnostics
        diagnostics;  ///< errors only (conflicts, prevent_destroy, impossible allocations): then it must not be applied

    [[nodiscard]] bool is_applicable() const { return !diagnostics.has_errors(); }
};

/// The pipeline of plan, apply, delete and watch: lower, recall, observe, recover, diff, order. For a valid stack. Writes
/// nothing. Errors: missing_driver, policy (the empty-stack guard), what the journal and the drivers say, invalid (a cycle).
[[nodiscard]] Result<Prepared> prepare(const Environment& environment, const model::resource::Stack& stack,
                                       const PrepareOptions& options, std::stop_token stop = {});

/// The same with nothing desired any more: deletes the stack.
[[nodiscard]] Result<Prepared> prepare_delete(const Environment& environment, const std::string& stack,
                                              const PrepareOptions& options, std::stop_token stop = {});

/// The same without the objects of one resource that the stack applied. not_found when it has none.
[[nodiscard]] Result<Prepared> prepare_delete_resource(const Environment& environment, const model::ResourceRef& resource,
                                                       const PrepareOptions& options, std::stop_token stop = {});

/// The way back: a plan that restores what `before` observed, as far as its plan touched it. apply() of it also restores the
/// record of then. Deleted data does not come back.
[[nodiscard]] Result<Prepared> prepare_undo(const Environment& environment, const Prepared& before,
                                            std::stop_token stop = {});

struct ApplyOptions {
    std::string command = "ctl apply";  ///< for the journal
    ExecuteOptions execute;
};

/// What would keep the plan from working, asked of all drivers without writing.
[[nodiscard]] std::vector<Error> preflight(const Environment& environment, const Plan& plan);

/// Runs what was prepared: preflight, journal, execute, record. Takes no lock: the caller holds it since before prepare().
/// Confirmation is the caller's as well. An error when it isn't applicable or the journal can't begin; how the steps went
/// is in the report.
[[nodiscard]] Result<RunReport> apply(const Environment& environment, const Prepared& prepared, const ApplyOptions& options,
                                      std::stop_token stop = {});

/// What a rebuild found per stack.
struct RebuiltStack {
    std::string stack;
    std::size_t objects = 0;
};

/// Writes the record of every stack anew from the marks on the host. Which fields were ours is lost with the database: none
/// is taken for ours until the next apply.
[[nodiscard]] Result<std::vector<RebuiltStack>> rebuild_from_marks(const Environment& environment,
                                                                   std::stop_token stop = {});

}  // namespace ctl::reconcile
