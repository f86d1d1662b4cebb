#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace ctl::reconcile {

enum class Outcome {
    not_started,  ///< the run was stopped before its turn came
    done,         ///< applied and seen on the host
    failed,       ///< its error says why; code `diverging` when it was applied but the host doesn't show it
    blocked,      ///< something it needs failed
};

/// "not_started", "done", "failed", "blocked".
[[nodiscard]] std::string_view to_string(Outcome outcome);

/// How one step of a plan ended.
struct StepReport {
    Outcome outcome = Outcome::not_started;
    std::optional<Error> error;             ///< failed only
    std::optional<std::size_t> blocked_by;  ///< blocked only: the failed step at the root of it
    std::chrono::nanoseconds elapsed{0};    ///< from its start to its verification; 0 if it never began
};

/// How a run ended: one report per step of its plan, in the plan's order.
struct RunReport {
    std::vector<StepReport> steps;
    std::chrono::nanoseconds elapsed{0};
    bool stopped = false;                ///< interrupted; what ran was finished
    std::vector<Error> refused;          ///< what preflight found; then nothing was started
    std::optional<Error> journal_error;  ///< the journal could not be written; nothing was started after it
    std::int64_t run = 0;                ///< the journal's number of it; 0 if nothing was to be done

    [[nodiscard]] std::size_t count(Outcome outcome) const;
    /// All steps are done and the journal knows it.
    [[nodiscard]] bool succeeded() const;
};

}  // namespace ctl::reconcile
