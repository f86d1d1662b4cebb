#include "reconcile/execute.h"

#include <algorithm>
#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>

#include "reconcile/batch.h"

namespace ctl::reconcile {

namespace {

/// One run of a plan. The workers share all that stands below `mutex_`, and touch it only while they hold it.
class Execution {
public:
    Execution(const Plan& plan, RunId run, const model::HostState& wanted, const model::HostState& recorded,
              const DriverSet& drivers, Journal& journal, Clock& clock, Reporter& reporter, const ExecuteOptions& options,
              std::stop_token stop)
        : plan_(plan),
          run_(run),
          wanted_(wanted),
          recorded_(recorded),
          journal_(journal),
          clock_(clock),
          reporter_(reporter),
          options_(options),
          stop_(std::move(stop)),
          steps_(plan.steps.size()) {
        report_.run = run;
        report_.steps.resize(plan.steps.size());
        for (std::size_t i = 0; i < plan.steps.size(); ++i) {
            steps_[i].driver = drivers.for_kind(plan.steps[i].change.id.kind);
            steps_[i].open_needs = plan.steps[i].needs.size();
            for (const auto need : plan.steps[i].needs) steps_[need].dependants.push_back(i);
        }
        unended_ = steps_.size();
    }

    RunReport run() {
        const auto begin = clock_.now();
        {
            const std::lock_guard hold(mutex_);
            for (std::size_t i = 0; i < steps_.size(); ++i)
                if (steps_[i].open_needs == 0) make_ready(i);
        }
        work_all();
        report_.elapsed = clock_.now() - begin;
        report_.stopped = stop_.stop_requested() && report_.count(Outcome::not_started) != 0;
        return std::move(report_);
    }

private:
    struct StepState {
        drivers::Driver* driver = nullptr;
        std::size_t open_needs = 0;
        std::vector<std::size_t> dependants;
        std::chrono::steady_clock::time_point began;
        bool ended = false;
    };

    void work_all() {
        std::map<drivers::Driver*, bool> used;
        for (const auto& step : steps_)
            if (step.driver != nullptr) used[step.driver] = true;
        std::vector<std::jthread> workers;
        for (const auto& [driver, unused] : used) workers.emplace_back([this, driver = driver] { work(*driver); });
    }

    void work(drivers::Driver& driver) {
        std::vector<std::jthread> waits;
        for (auto batch = next_batch(driver); !batch.empty(); batch = next_batch(driver)) {
            if (!driver.info().waits) run(driver, batch);
            else
                for (const auto step : batch) waits.emplace_back([this, &driver, step] { run(driver, {step}); });
        }
    }

    void run(drivers::Driver& driver, const std::vector<std::size_t>& batch) {
        if (!journal_intents(batch)) return;
        announce(batch);
        auto result = run_batch(driver, plan_, batch, wanted_, recorded_, clock_, options_.verify_deadline, stop_);
        finish(batch, std::move(result), driver.info().waits ? 0 : batch.size());
    }

    /// Waits for steps of the driver that may run now; none when nothing more is to come.
    std::vector<std::size_t> next_batch(drivers::Driver& driver) {
        std::unique_lock hold(mutex_);
        const bool waits = driver.info().waits;
        const auto may_go_on = [&] {
            return halted_ || unended_ == 0 || (!ready_[&driver].empty() && (waits || free_slots() != 0));
        };
        changed_.wait(hold, stop_, may_go_on);
        auto& ready = ready_[&driver];
        if (stop_.stop_requested() || halted_ || ready.empty()) return {};
        const auto size = waits ? ready.size() : std::min(ready.size(), free_slots());
        const auto end = ready.begin() + static_cast<std::ptrdiff_t>(size);
        std::vector<std::size_t> batch(ready.begin(), end);
        ready.erase(ready.begin(), end);
        if (!waits) in_flight_ += size;
        return batch;
    }

    std::size_t free_slots() const { return options_.parallelism == 0 ? steps_.size() : options_.parallelism - in_flight_; }

    /// The intents stand in the journal before the host is touched; without a journal nothing is touched.
    bool journal_intents(const std::vector<std::size_t>& batch) {
        auto written = journal_.intend(run_, batch);
        if (!written) halt(std::move(written).error());
        return static_cast<bool>(written);
    }

    void halt(Error error) {
        const std::lock_guard hold(mutex_);
        halted_ = true;
        if (!report_.journal_error) report_.journal_error = std::move(error);
        changed_.notify_all();
    }

    void announce(const std::vector<std::size_t>& batch) {
        const std::lock_guard hold(mutex_);
        for (const auto step : batch) {
            steps_[step].began = clock_.now();
            reporter_.step_started(plan_, step);
        }
    }

    void finish(const std::vector<std::size_t>& batch, BatchResult result, std::size_t slots) {
        if (auto written = journal_.conclude(run_, result.results); !written) halt(std::move(written).error());
        const std::lock_guard hold(mutex_);
        in_flight_ -= slots;
        for (std::size_t i = 0; i < batch.size(); ++i) end_step(batch[i], std::move(result.outcomes[i]));
        changed_.notify_all();
    }

    void end_step(std::size_t step, Status outcome) {
        auto& report = report_.steps[step];
        // Taken back by a stop: its dependants have not started either.
        if (!outcome && outcome.error().code() == ErrorCode::cancelled && stop_.stop_requested()) return;
        report.elapsed = clock_.now() - steps_[step].began;
        report.outcome = outcome ? Outcome::done : Outcome::failed;
        if (!outcome) report.error = std::move(outcome).error();
        mark_ended(step);
        reporter_.step_finished(plan_, step, report);
        if (report.outcome == Outcome::done) release_dependants(step);
        else block_dependants(step);
    }

    void mark_ended(std::size_t step) {
        steps_[step].ended = true;
        --unended_;
    }

    void release_dependants(std::size_t step) {
        for (const auto next : steps_[step].dependants)
            if (--steps_[next].open_needs == 0 && !steps_[next].ended) make_ready(next);
    }

    void block_dependants(std::size_t failed) {
        std::vector<std::size_t> waiting = steps_[failed].dependants;
        while (!waiting.empty()) {
            const auto step = waiting.back();
            waiting.pop_back();
            if (steps_[step].ended) continue;
            auto& report = report_.steps[step];
            report.outcome = Outcome::blocked;
            report.blocked_by = failed;
            mark_ended(step);
            reporter_.step_finished(plan_, step, report);
            waiting.insert(waiting.end(), steps_[step].dependants.begin(), steps_[step].dependants.end());
        }
    }

    void make_ready(std::size_t step) {
        auto& ready = ready_[steps_[step].driver];
        ready.insert(std::upper_bound(ready.begin(), ready.end(), step), step);
    }

    const Plan& plan_;
    const RunId run_;
    const model::HostState& wanted_;
    const model::HostState& recorded_;
    Journal& journal_;
    Clock& clock_;
    Reporter& reporter_;
    const ExecuteOptions options_;
    const std::stop_token stop_;

    std::mutex mutex_;
    std::condition_variable_any changed_;
    std::vector<StepState> steps_;
    std::map<drivers::Driver*, std::vector<std::size_t>> ready_;
    std::size_t unended_ = 0;
    std::size_t in_flight_ = 0;
    bool halted_ = false;
    RunReport report_;
};

}  // namespace

RunReport execute(const Plan& plan, RunId run, const Records& records, const DriverSet& drivers, Journal& journal,
                  Clock& clock, Reporter& reporter, const ExecuteOptions& options, std::stop_token stop) {
    Execution execution(plan, run, records.wanted, records.recorded, drivers, journal, clock, reporter, options,
                        std::move(stop));
    return execution.run();
}

}  // namespace ctl::reconcile
