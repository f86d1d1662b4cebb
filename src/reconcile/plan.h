#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "base/diagnostics.h"
#include "base/result.h"
#include "diff/change.h"

namespace ctl::reconcile {

/// One thing a driver is asked to do, and what has to be done before.
struct Step {
    diff::Change change;             ///< verb is never replace
    std::vector<std::size_t> needs;  ///< indexes of earlier steps, sorted
};

/// An acyclic graph of steps, in a topological order that is the same for the same input (ties by ObjectId, then verb).
struct Plan {
    std::string stack;
    std::vector<diff::Change> changes;  ///< what a person reads: one per object, replace and restart not yet split
    std::vector<Step> steps;            ///< what is executed
    Diagnostics notes;                  ///< to be read beside it: "the host can't reach macvlan containers"

    [[nodiscard]] bool empty() const { return steps.empty(); }
};

/// Orders changes: create after what it needs, delete before what it needs is deleted (taken from the observed and recorded
/// needs), replace = delete then create with everything bound to it stopped or gone in between, a restart = stop then
/// update, delete before create where two objects share a scarce key (interface name in one namespace). A cycle is an
/// `invalid` error that names every member with its place.
[[nodiscard]] Result<Plan> make_plan(std::string stack, std::vector<diff::Change> changes);

/// Counts for the summary line.
struct PlanSummary {
    std::size_t create = 0;
    std::size_t update = 0;   ///< live and hotplug
    std::size_t restart = 0;  ///< updates that restart a container
    std::size_t replace = 0;
    std::size_t remove = 0;
    std::size_t adopt = 0;
    std::size_t forget = 0;
};
[[nodiscard]] PlanSummary summarise(const Plan& plan);

/// True if a step deletes or replaces what holds data (volumes, containers): needs a yes.
[[nodiscard]] bool needs_confirmation(const Plan& plan);

/// True if a container or a volume is deleted or replaced. What an interrupted run left half-made holds nobody's data.
[[nodiscard]] bool loses_data(const diff::Change& change);

struct PlanRenderOptions {
    bool colour = false;
};
/// As a Terraform user expects it: one block per change, notes, and "Plan: 3 to create, 1 to change (1 restart), 0 to
/// replace, 1 to delete."
[[nodiscard]] std::string to_text(const Plan& plan, const PlanRenderOptions& options);
/// {"format":"ctl.plan/1","stack":…,"changes":[…],"steps":[…],"summary":{…},"notes":[…]}
[[nodiscard]] std::string to_json(const Plan& plan);

}  // namespace ctl::reconcile
