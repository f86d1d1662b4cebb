#include "cli/exit_code.h"

#include <algorithm>

namespace ctl::cli {

ExitCode exit_code_for(const Error& error) {
    switch (error.code()) {
        case ErrorCode::invalid: return ExitCode::invalid;
        case ErrorCode::stale: return ExitCode::stale;
        case ErrorCode::diverging: return ExitCode::diverging;
        case ErrorCode::locked: return ExitCode::locked;
        case ErrorCode::policy: return ExitCode::refused;
        case ErrorCode::missing_driver: return ExitCode::missing_driver;
        case ErrorCode::cancelled: return ExitCode::interrupted;
        default: return ExitCode::failed;
    }
}

ExitCode exit_code_for(const Diagnostics& diagnostics) {
    const auto refused = [](const Diagnostic& d) {
        return d.severity == Severity::error && (d.rule == "prevent-destroy" || d.rule == "restart-needed");
    };
    return std::any_of(diagnostics.all().begin(), diagnostics.all().end(), refused) ? ExitCode::refused : ExitCode::failed;
}

ExitCode exit_code_for(const reconcile::RunReport& report) {
    using reconcile::Outcome;
    if (!report.refused.empty()) return exit_code_for(report.refused.front());
    if (report.succeeded()) return ExitCode::done;
    if (report.stopped) return ExitCode::interrupted;
    const bool only_diverging = std::all_of(report.steps.begin(), report.steps.end(), [](const reconcile::StepReport& step) {
        return step.outcome != Outcome::failed || (step.error && step.error->code() == ErrorCode::diverging);
    });
    if (only_diverging && report.count(Outcome::failed) != 0) return ExitCode::diverging;
    return report.count(Outcome::done) != 0 ? ExitCode::partial : ExitCode::failed;
}

}  // namespace ctl::cli
