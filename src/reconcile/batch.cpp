#include "reconcile/batch.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "reconcile/driver_call.h"
#include "reconcile/recovery.h"
#include "reconcile/verify.h"

namespace ctl::reconcile {

namespace {

constexpr std::chrono::milliseconds first_pause(5);
constexpr std::chrono::milliseconds longest_pause(500);

class Batch {
public:
    Batch(drivers::Driver& driver, const Plan& plan, const std::vector<std::size_t>& steps, Clock& clock)
        : driver_(driver), clock_(clock) {
        for (const auto step : steps) changes_.push_back(plan.steps[step].change);
    }

    void apply(std::stop_token stop) { outcomes_ = call_apply(driver_, changes_, std::move(stop)); }

    /// Looks until every step that the driver called done shows, or the deadline has passed. Steps that failed are looked at
    /// once: what they left behind has to be remembered.
    void verify(std::chrono::milliseconds deadline) {
        const auto end = clock_.now() + deadline;
        look(all_ids());
        for (auto pause = first_pause; !unsettled_.empty() && clock_.now() < end;
             pause = std::min(pause * 2, longest_pause)) {
            clock_.sleep_for(pause);
            look(unsettled_);
        }
        for (std::size_t i = 0; i < changes_.size(); ++i)
            if (outcomes_[i]) outcomes_[i] = shown(changes_[i]);
    }

    BatchResult result(const std::vector<std::size_t>& steps, const model::HostState& wanted,
                       const model::HostState& recorded) {
        BatchResult result;
        for (std::size_t i = 0; i < changes_.size(); ++i) {
            result.results.push_back(remember(changes_[i], outcomes_[i], wanted, recorded));
            result.results.back().step = steps[i];
        }
        result.outcomes = std::move(outcomes_);
        return result;
    }

private:
    std::set<model::ObjectId> all_ids() const {
        std::set<model::ObjectId> ids;
        for (const auto& change : changes_)
            if (change.verb != diff::Verb::forget) ids.insert(change.id);
        return ids;
    }

    void look(std::set<model::ObjectId> ids) {
        unsettled_.clear();
        look_error_.reset();
        if (ids.empty()) return;
        // Not the run's stop token: what was begun is brought to an end that the journal knows.
        auto seen = call_observe(driver_, drivers::Interest::only(ids), {});
        if (!seen) look_error_ = std::move(seen).error().while_("verifying");
        else update_seen(ids, std::move(*seen));
        for (std::size_t i = 0; i < changes_.size(); ++i)
            if (outcomes_[i] && !shown(changes_[i])) unsettled_.insert(changes_[i].id);
    }

    void update_seen(const std::set<model::ObjectId>& ids, model::HostState now) {
        for (const auto& id : ids) seen_.erase(id);
        seen_.merge(now);
    }

    Status shown(const diff::Change& change) const {
        if (look_error_ && change.verb != diff::Verb::forget) return *look_error_;
        return verified(change, seen_);
    }

    StepResult remember(const diff::Change& change, const Status& outcome, const model::HostState& wanted,
                        const model::HostState& recorded) const {
        StepResult result;
        const auto wish = wanted.find(change.id);
        if (outcome) {
            result.removed = change.verb == diff::Verb::remove || change.verb == diff::Verb::forget;
            const bool made = !result.removed && change.verb != diff::Verb::stop;
            if (made && wish != wanted.end()) result.recorded = wish->second;
            return result;
        }
        result.begun = outcome.error().code() != ErrorCode::cancelled;
        result.error = outcome.error();
        const bool may_be_half_made =
            result.begun && change.desired && change.verb != diff::Verb::stop && wish != wanted.end();
        if (may_be_half_made && is_there_and_ours(seen_, change.id, wish->second)) {
            const auto old = recorded.find(change.id);
            result.recorded = grown_record(old != recorded.end() ? &old->second : nullptr, wish->second);
        }
        return result;
    }

    drivers::Driver& driver_;
    Clock& clock_;
    std::vector<diff::Change> changes_;
    std::vector<Status> outcomes_;
    model::HostState seen_;
    std::set<model::ObjectId> unsettled_;
    std::optional<Error> look_error_;
};

}  // namespace

BatchResult run_batch(drivers::Driver& driver, const Plan& plan, const std::vector<std::size_t>& steps,
                      const model::HostState& wanted, const model::HostState& recorded, Clock& clock,
                      std::chrono::milliseconds deadline, std::stop_token stop) {
    Batch batch(driver, plan, steps, clock);
    batch.apply(std::move(stop));
    batch.verify(deadline);
    return batch.result(steps, wanted, recorded);
}

}  // namespace ctl::reconcile
