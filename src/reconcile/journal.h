#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "diff/change.h"
#include "model/host_state.h"
#include "model/lower.h"
#include "reconcile/plan.h"

namespace ctl::reconcile {

using RunId = std::int64_t;

/// A resource as a stack declared it when it was last applied.
struct DeclaredResource {
    std::string kind;  ///< "Container"
    std::string name;
    std::string where;       ///< "stack.yaml:12:3"; may be empty
    std::string profiles{};  ///< of a container, in their order: "default,web"

    auto operator<=>(const DeclaredResource&) const = default;
};

/// What is known about a stack as a whole.
struct StackInfo {
    std::string name;
    std::size_t resources = 0;
    std::size_t objects = 0;
    std::string last_run;      ///< UTC, "2026-01-31T12:00:00Z"; empty if none
    std::string last_outcome;  ///< "done", "failed", "stopped", "interrupted", "running"
};

/// What a run begins with; written in one transaction before the first step.
struct RunStart {
    std::string stack;
    std::string command;                      ///< as typed, for people
    model::Allocations allocations;           ///< replace those of the stack
    std::vector<DeclaredResource> resources;  ///< replace those of the stack
    model::HostState recorded;                ///< replaces the stack's recorded objects (what recovery made of them)
};

/// A step whose intent was written and whose result was not: its run died in between.
struct UnfinishedStep {
    RunId run = 0;
    std::size_t step = 0;
    std::string stack;
    model::ObjectId id;
    diff::Verb verb = diff::Verb::update;
    std::optional<model::Entry> desired;  ///< what the object was to become; absent for delete, forget and stop
};

/// What became of a step, and of the record of its object.
struct StepResult {
    std::size_t step = 0;
    std::optional<Error> error;            ///< absent: done
    bool begun = true;                     ///< false: taken back, the driver never started it
    std::optional<model::Entry> recorded;  ///< the object's record from now on
    bool removed = false;                  ///< the record goes
};

enum class RunOutcome { done, failed, stopped };

/// What ctl remembers between runs. Every function is one transaction and safe to call from several threads. Errors:
/// `locked` when another process keeps the database busy past the timeout, `invalid` when it is damaged or newer than this
/// ctl, `io`, `no_space`, `permission`.
class Journal {
public:
    virtual ~Journal() = default;

    [[nodiscard]] virtual Result<std::vector<StackInfo>> stacks() = 0;
    /// What this stack last applied.
    [[nodiscard]] virtual Result<model::HostState> recorded(const std::string& stack) = 0;
    /// What all other stacks have applied.
    [[nodiscard]] virtual Result<model::HostState> others(const std::string& stack) = 0;
    [[nodiscard]] virtual Result<model::Allocations> allocations(const std::string& stack) = 0;
    /// Allocations of all other stacks; keys are prefixed with "STACK/", for only the values matter.
    [[nodiscard]] virtual Result<model::Allocations> taken(const std::string& stack) = 0;
    [[nodiscard]] virtual Result<std::vector<DeclaredResource>> resources(const std::string& stack) = 0;
    /// Steps of runs that never ended; call it with the lock held, else a living run's steps are among them.
    [[nodiscard]] virtual Result<std::vector<UnfinishedStep>> unfinished() = 0;

    /// Closes unended runs of the stack as interrupted (their started steps as unknown), replaces what `start` says and
    /// writes the plan's steps as planned, each with its object as `wanted` has it: what it is to become.
    [[nodiscard]] virtual Result<RunId> begin_run(const RunStart& start, const Plan& plan,
                                                  const model::HostState& wanted) = 0;
    /// Steps that begin now, before the host is touched.
    [[nodiscard]] virtual Status intend(RunId run, std::span<const std::size_t> steps) = 0;
    /// Results of steps, with the records that follow from them.
    [[nodiscard]] virtual Status conclude(RunId run, std::span<const StepResult> results) = 0;
    [[nodiscard]] virtual Status finish_run(RunId run, RunOutcome outcome) = 0;

    /// Sets the stack's recorded objects, outside a run (rebuilding from marks, the end of an undo).
    [[nodiscard]] virtual Status put_recorded(const std::string& stack, const model::HostState& state) = 0;
    /// Drops all that is known about a stack but its runs; leaves the host alone.
    [[nodiscard]] virtual Status forget_stack(const std::string& stack) = 0;
    /// One line of history: `kind` is a stable word ("revision_rejected"), `text` for people.
    [[nodiscard]] virtual Status add_event(const std::string& stack, const std::string& kind, const std::string& text) = 0;
};

}  // namespace ctl::reconcile
