#include "cli/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <mutex>
#include <set>

#include <fmt/format.h>

#include "base/text.h"
#include "cli/counters.h"

namespace ctl::cli {

namespace {

using reconcile::Outcome;
using reconcile::Plan;
using reconcile::RunReport;
using reconcile::StepReport;

std::string describe(const Plan& plan, std::size_t step) {
    const auto& change = plan.steps[step].change;
    return fmt::format("{} {}", diff::to_string(change.verb), escaped(change.id.str()));
}

double seconds(std::chrono::nanoseconds elapsed) { return std::chrono::duration<double>(elapsed).count(); }

std::string time_text(double seconds) {
    const auto whole = static_cast<long>(std::ceil(seconds));
    return whole < 60 ? fmt::format("{} s", whole) : fmt::format("{} min {} s", whole / 60, whole % 60);
}

/// The executor calls one method at a time; activities come from where the work is done, at any time.
class Progress final : public reconcile::Reporter {
public:
    explicit Progress(const ProgressOptions& options)
        : options_(options), watch_([this](const Activity& activity) { show(activity); }) {}

    void plan_started(const Plan& plan) override {
        const std::lock_guard hold(mutex_);
        total_ = plan.steps.size();
        finished_ = 0;
        running_.clear();
        width_ = std::to_string(total_).size();
    }

    void step_started(const Plan& plan, std::size_t step) override {
        const std::lock_guard hold(mutex_);
        running_.insert(step);
        redraw(plan);
    }

    void step_finished(const Plan& plan, std::size_t step, const StepReport& report) override {
        const std::lock_guard hold(mutex_);
        running_.erase(step);
        ++finished_;
        if (report.outcome == Outcome::not_started) return;
        clear_status();
        fmt::print("[{:>{}}/{}] {} {}{}\n", finished_, width_, total_, symbol(report.outcome), describe(plan, step),
                   suffix(plan, report));
        std::fflush(stdout);
        redraw(plan);
    }

    void run_finished(const Plan&, const RunReport&) override {
        const std::lock_guard hold(mutex_);
        clear_status();
        std::fflush(stdout);
    }

    void log(reconcile::LogLevel level, std::string_view line) override {
        const std::lock_guard hold(mutex_);
        clear_status();
        const char* name = level == reconcile::LogLevel::error     ? "error: "
                           : level == reconcile::LogLevel::warning ? "warning: "
                                                                   : "";
        fmt::print(level == reconcile::LogLevel::info ? stdout : stderr, "{}{}\n", name, line);
        std::fflush(stdout);
    }

private:
    [[nodiscard]] std::string symbol(Outcome outcome) const {
        const bool good = outcome == Outcome::done;
        const std::string_view word = good ? "ok" : reconcile::to_string(outcome);
        return options_.colour ? fmt::format("\033[{}m{}\033[0m", good ? 32 : 31, word) : std::string(word);
    }

    static std::string suffix(const Plan& plan, const StepReport& report) {
        if (report.outcome == Outcome::blocked && report.blocked_by)
            return fmt::format(" (needs {})", describe(plan, *report.blocked_by));
        if (report.outcome == Outcome::failed && report.error) return ": " + escaped(report.error->message());
        return fmt::format(" {:.3f} s", seconds(report.elapsed));
    }

    void clear_status() {
        if (options_.terminal && status_shown_) fmt::print("\r\033[K");
        status_shown_ = false;
    }

    void redraw(const Plan& plan) {
        if (!options_.terminal || running_.empty()) return;
        std::string status =
            fmt::format("  {} of {} done, running: {}", finished_, total_, describe(plan, *running_.begin()));
        if (running_.size() > 1) status += fmt::format(" and {} more", running_.size() - 1);
        show_status(std::move(status));
    }

    void show(const Activity& activity) {
        const std::lock_guard hold(mutex_);
        if (options_.terminal && !activity.over) return show_status("  " + activity_text(activity));
        if (options_.terminal || !activity.over) return;
        fmt::print("{}\n", activity_text(activity));
        std::fflush(stdout);
    }

    void show_status(std::string status) {
        winsize size{};
        // A line longer than the terminal would wrap and could not be redrawn.
        if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1)
            status.resize(std::min<std::size_t>(status.size(), size.ws_col - 1U));
        fmt::print("\r\033[K{}", status);
        std::fflush(stdout);
        status_shown_ = true;
    }

    ProgressOptions options_;
    std::set<std::size_t> running_;
    std::size_t total_ = 0;
    std::size_t finished_ = 0;
    std::size_t width_ = 1;
    bool status_shown_ = false;
    std::mutex mutex_;
    ActivityWatch watch_;
};

}  // namespace

std::string activity_text(const Activity& activity) {
    const double took = seconds(activity.elapsed);
    const auto got = static_cast<double>(activity.done - activity.begin);
    const double rate = took > 0 ? got / took : 0;
    const std::string rate_text = bytes_text(static_cast<std::int64_t>(rate)) + "/s";
    if (activity.over)
        return fmt::format("{}: {} in {:.1f} s, {}", activity.what, bytes_text(activity.done), took, rate_text);
    if (activity.total == 0) return fmt::format("{}, {}: {}", bytes_text(activity.done), rate_text, activity.what);
    std::string text = fmt::format("{} of {}", bytes_text(activity.done), bytes_text(activity.total));
    if (rate >= 1)
        text +=
            fmt::format(", {}, {} left", rate_text, time_text(static_cast<double>(activity.total - activity.done) / rate));
    return fmt::format("{}: {}", text, activity.what);
}

std::unique_ptr<reconcile::Reporter> make_progress(const ProgressOptions& options) {
    if (options.quiet) return std::make_unique<reconcile::SilentReporter>();
    return std::make_unique<Progress>(options);
}

}  // namespace ctl::cli
