#include "reconcile/run_report.h"

#include <algorithm>

namespace ctl::reconcile {

std::string_view to_string(Outcome outcome) {
    switch (outcome) {
        case Outcome::not_started: return "not_started";
        case Outcome::done: return "done";
        case Outcome::failed: return "failed";
        case Outcome::blocked: return "blocked";
    }
    return {};
}

std::size_t RunReport::count(Outcome outcome) const {
    return static_cast<std::size_t>(
        std::count_if(steps.begin(), steps.end(), [&](const StepReport& step) { return step.outcome == outcome; }));
}

bool RunReport::succeeded() const { return count(Outcome::done) == steps.size() && refused.empty() && !journal_error; }

}  // namespace ctl::reconcile
