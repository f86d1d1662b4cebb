#pragma once

#include <cstddef>
#include <string_view>

#include "reconcile/plan.h"
#include "reconcile/run_report.h"

namespace ctl::reconcile {

enum class LogLevel { info, warning, error };

/// Told what happens while it happens. Calls come from several threads, but never two at once: the caller serialises
/// them, so an implementation needs no lock of its own against them. It must return soon: the run waits for it.
class Reporter {
public:
    virtual ~Reporter() = default;

    /// Before the first step.
    virtual void plan_started(const Plan& plan) = 0;
    virtual void step_started(const Plan& plan, std::size_t step) = 0;
    /// For steps that ran and for those found blocked.
    virtual void step_finished(const Plan& plan, std::size_t step, const StepReport& report) = 0;
    /// After the last step, whatever the end. Not called when preflight refused the plan.
    virtual void run_finished(const Plan& plan, const RunReport& report) = 0;
    /// One line about the work as a whole: what the watch loop saw, what was recovered. Escaped already.
    virtual void log(LogLevel level, std::string_view line) = 0;
};

/// Says nothing.
class SilentReporter final : public Reporter {
public:
    void plan_started(const Plan&) override {}
    void step_started(const Plan&, std::size_t) override {}
    void step_finished(const Plan&, std::size_t, const StepReport&) override {}
    void run_finished(const Plan&, const RunReport&) override {}
    void log(LogLevel, std::string_view) override {}
};

}  // namespace ctl::reconcile
