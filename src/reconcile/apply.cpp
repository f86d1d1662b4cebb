#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "diff/diff.h"
#include "model/state_json.h"
#include "reconcile/driver_call.h"
#include "reconcile/observe.h"
#include "reconcile/rebuilt_needs.h"
#include "reconcile/reconciler.h"

namespace ctl::reconcile {

namespace {

/// Save for the state that a person keeps a container in: the record goes on saying what the manifest says.
bool is_as_wanted(const model::Entry& wanted, const model::Entry& seen) {
    const auto unmet = diff::unmet(wanted.object, &seen.object);
    return std::all_of(unmet.begin(), unmet.end(),
                       [&](const diff::FieldChange& field) { return seen.held && field.name == "state"; });
}

/// What is remembered of objects that the plan doesn't touch: those that are as the manifest has them are recorded so (a
/// field may have become ours without a change), those that left the stack and the host are forgotten.
model::HostState settled_record(const Prepared& prepared) {
    std::set<model::ObjectId> touched;
    for (const auto& change : prepared.plan.changes) touched.insert(change.id);
    auto record = prepared.recorded;
    std::erase_if(record, [&](const auto& item) {
        const auto& id = item.first;
        return !touched.contains(id) && !prepared.desired.contains(id) && !prepared.observed.contains(id);
    });
    for (const auto& [id, entry] : prepared.desired) {
        // Nothing that a host could show.
        if (id.kind == model::ObjectKind::readiness && !touched.contains(id)) record.insert_or_assign(id, entry);
        const auto seen = prepared.observed.find(id);
        if (touched.contains(id) || seen == prepared.observed.end()) continue;
        if (is_as_wanted(entry, seen->second)) record.insert_or_assign(id, entry);
    }
    return record;
}

bool same_state(const model::HostState& a, const model::HostState& b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& x, const auto& y) {
        return x.first == y.first && model::entry_to_json(x.second) == model::entry_to_json(y.second);
    });
}

bool has_something_to_remember(const Prepared& prepared, const RunStart& start) {
    return prepared.recovered != 0 || prepared.restored_record || start.allocations != prepared.before.allocations ||
           start.resources != prepared.before.resources || !same_state(start.recorded, prepared.before.recorded);
}

std::set<model::ObjectKind> kinds_of(const Plan& plan) {
    std::set<model::ObjectKind> kinds;
    for (const auto& step : plan.steps) kinds.insert(step.change.id.kind);
    return kinds;
}

Error not_applicable(const Prepared& prepared) {
    const auto& first = prepared.diagnostics.all().front();
    return Error(ErrorCode::conflict, first.message).at(first.where).hint(first.hint);
}

RunOutcome outcome_of(const RunReport& report) {
    if (report.succeeded()) return RunOutcome::done;
    return report.stopped ? RunOutcome::stopped : RunOutcome::failed;
}

/// What follows from a run that did all it should.
Status remember_success(Journal& journal, const Prepared& prepared) {
    if (prepared.restored_record) CTL_TRY(journal.put_recorded(prepared.stack, *prepared.restored_record));
    const bool nothing_left = prepared.restored_record ? prepared.restored_record->empty() : prepared.desired.empty();
    if (nothing_left && prepared.resources.empty()) return journal.forget_stack(prepared.stack);
    return ok();
}

/// Images of containers are published by hand, too. One that the stack declares is recorded by its next apply.
bool may_be_published(const model::Entry& entry) {
    const auto* image = std::get_if<model::Image>(&entry.object);
    return image != nullptr && image->type == "container";
}

Status close_run(Journal& journal, const Prepared& prepared, const RunReport& report) {
    CTL_TRY(journal.finish_run(report.run, outcome_of(report)));
    return report.succeeded() ? remember_success(journal, prepared) : ok();
}

}  // namespace

std::vector<Error> preflight(const Environment& environment, const Plan& plan) {
    std::map<drivers::Driver*, std::vector<diff::Change>> by_driver;
    for (const auto& step : plan.steps)
        if (auto* driver = environment.drivers.for_kind(step.change.id.kind)) by_driver[driver].push_back(step.change);
    std::vector<Error> found;
    for (const auto& driver : environment.drivers.all()) {
        const auto part = by_driver.find(driver.get());
        if (part == by_driver.end()) continue;
        auto errors = call_preflight(*driver, part->second);
        std::move(errors.begin(), errors.end(), std::back_inserter(found));
    }
    return found;
}

Result<RunReport> apply(const Environment& environment, const Prepared& prepared, const ApplyOptions& options,
                        std::stop_token stop) {
    if (!prepared.is_applicable()) return not_applicable(prepared);
    CTL_TRY(environment.drivers.require(kinds_of(prepared.plan)));
    RunReport report;
    report.steps.resize(prepared.plan.steps.size());
    report.refused = preflight(environment, prepared.plan);
    if (!report.refused.empty()) return report;

    const RunStart start{prepared.stack, options.command, prepared.allocations, prepared.resources,
                         settled_record(prepared)};
    if (prepared.plan.empty() && !has_something_to_remember(prepared, start)) return report;
    CTL_ASSIGN(const RunId run, environment.journal.begin_run(start, prepared.plan, prepared.desired));

    if (!prepared.plan.empty()) environment.reporter.plan_started(prepared.plan);
    report = execute(prepared.plan, run, {prepared.desired, prepared.recorded}, environment.drivers, environment.journal,
                     environment.clock, environment.reporter, options.execute, std::move(stop));
    if (auto closed = close_run(environment.journal, prepared, report); !closed && !report.journal_error)
        report.journal_error = std::move(closed).error();
    if (!prepared.plan.empty()) environment.reporter.run_finished(prepared.plan, report);
    return report;
}

Result<std::vector<RebuiltStack>> rebuild_from_marks(const Environment& environment, std::stop_token stop) {
    CTL_ASSIGN(const auto observation, observe(environment.drivers, {}, std::move(stop)));
    // A driver that can't look would have its objects forgotten.
    if (!observation.failures.empty()) return observation.failures.front();
    std::map<std::string, model::HostState> stacks;
    for (const auto& [id, entry] : observation.state) {
        if (entry.mark != model::Mark::complete || entry.owner.stack.empty()) continue;
        // No record knows these: the next apply would take them for something that left the stack.
        if (id.kind == model::ObjectKind::snapshot || may_be_published(entry)) continue;
        model::Entry record;
        record.object = model::make_object(id.kind);
        record.needs = rebuilt_needs(id, entry, observation.state);
        record.owner = entry.owner;
        stacks[entry.owner.stack].emplace(id, std::move(record));
    }
    std::vector<RebuiltStack> rebuilt;
    for (const auto& [stack, state] : stacks) {
        CTL_TRY(environment.journal.put_recorded(stack, state));
        rebuilt.push_back({stack, state.size()});
    }
    return rebuilt;
}

}  // namespace ctl::reconcile
