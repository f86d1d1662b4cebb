#include "reconcile/by_hand.h"

#include <algorithm>
#include <iterator>

#include <fmt/format.h>

#include "base/text.h"
#include "reconcile/pipeline.h"

namespace ctl::reconcile {

using model::Container;
using model::ContainerState;
using model::ObjectId;
using model::ObjectKind;

namespace {

/// The container as it was applied and as the host shows it now.
struct Subject {
    ObjectId id;
    const model::Entry& recorded;
    const model::Entry& observed;

    [[nodiscard]] ContainerState applied_state() const {
        return std::get<Container>(recorded.object).state.value_or(ContainerState::running);
    }
    [[nodiscard]] ContainerState state() const {
        return std::get<Container>(observed.object).state.value_or(ContainerState::stopped);
    }
    /// What the manifest says anyway needs nobody to hold it.
    [[nodiscard]] bool is_held_by(const ByHand& wish) const { return wish.stays && applied_state() != wish.state; }
};

Result<Subject> find_subject(const Prepared& prepared, const std::string& name) {
    const ObjectId id{ObjectKind::container, name};
    const auto recorded = prepared.recorded.find(id);
    const auto observed = prepared.observed.find(id);
    if (recorded == prepared.recorded.end())
        return Error(ErrorCode::not_found,
                     fmt::format("stack {} has applied no container {}", ctl::quoted(prepared.stack), ctl::quoted(name)))
            .hint("see: ctl get containers");
    if (observed == prepared.observed.end())
        return Error(ErrorCode::not_found, fmt::format("container {} is gone from this host", ctl::quoted(name)))
            .hint("ctl apply makes it again");
    return Subject{id, recorded->second, observed->second};
}

/// A stop and its patience, and nothing else: all other fields stay as they are.
model::Entry stop_wish(const Subject& subject, const ByHand& wish) {
    model::Entry entry = subject.recorded;
    Container only_state;
    only_state.state = wish.state;
    if (wish.patience) only_state.stop_timeout = wish.patience->count();
    entry.object = only_state;
    entry.held = subject.is_held_by(wish);
    return entry;
}

diff::Change stop_change(const Subject& subject, const ByHand& wish) {
    diff::Change change{subject.id, diff::Verb::stop, model::Effect::live, {}, "by hand"};
    change.desired = stop_wish(subject, wish);
    change.observed = subject.observed;
    change.observed.edit().needs = subject.recorded.needs;
    return change;
}

diff::Change freezing_change(const Subject& subject, const ByHand& wish) {
    diff::Change change{subject.id, diff::Verb::update, model::Effect::live, {}, "by hand"};
    change.fields.push_back({"state",
                             model::to_field_value(subject.state()),
                             model::to_field_value(wish.state),
                             model::Effect::live,
                             diff::Cause::changed,
                             {}});
    model::Entry entry = subject.recorded;
    std::get<Container>(entry.object).state = wish.state;
    entry.held = subject.is_held_by(wish);
    change.desired = std::move(entry);
    change.observed = subject.observed;
    return change;
}

/// Adds an object of the record and all that it stands on.
void add_with_ground(const model::HostState& recorded, const ObjectId& id, model::HostState& wanted) {
    const auto found = recorded.find(id);
    if (found == recorded.end() || !wanted.insert(*found).second) return;
    for (const auto& need : found->second.needs) add_with_ground(recorded, need.id, wanted);
}

/// A start is an apply of the container as it was applied last, with all that a reboot may have taken from under it.
Result<diff::Output> start_changes(const Environment& environment, const Prepared& prepared,
                                   const std::vector<Subject>& subjects, const ByHand& wish) {
    model::HostState wanted;
    for (const auto& subject : subjects) add_with_ground(prepared.recorded, subject.id, wanted);
    const model::HostState recorded = wanted;
    model::HostState observed = prepared.observed;
    for (const auto& subject : subjects) {
        auto& entry = wanted.at(subject.id);
        std::get<Container>(entry.object).state = wish.state;
        entry.held = subject.is_held_by(wish);
        observed.at(subject.id).held = false;
    }
    CTL_ASSIGN(const auto others, environment.journal.others(prepared.stack));
    return diff::diff(
        {.desired = wanted, .observed = observed, .recorded = recorded, .others = others, .stack = prepared.stack});
}

/// Takes in changes of objects that have none yet: what somebody stands on may be named as well.
void merge(diff::Output& output, diff::Output more) {
    std::erase_if(more.changes, [&](const diff::Change& change) {
        return std::any_of(output.changes.begin(), output.changes.end(),
                           [&](const diff::Change& known) { return known.id == change.id; });
    });
    std::move(more.changes.begin(), more.changes.end(), std::back_inserter(output.changes));
    output.diagnostics.append(more.diagnostics);
}

/// Freezing and thawing are for what runs.
Status check_runs(const Subject& subject, const ByHand& wish) {
    if (subject.state() != ContainerState::stopped) return ok();
    return Error(ErrorCode::conflict, fmt::format("container {} is stopped and can't be {}", ctl::quoted(subject.id.name),
                                                  wish.state == ContainerState::frozen ? "frozen" : "thawed"))
        .hint(fmt::format("ctl start {}", subject.id.name));
}

}  // namespace

Result<Prepared> prepare_by_hand(const Environment& environment, const std::string& stack, const ByHand& wish,
                                 std::stop_token stop) {
    CTL_ASSIGN(auto prepared, look_as_recorded(environment, stack, std::move(stop)));
    diff::Output output;
    std::vector<Subject> starting;
    for (const auto& name : wish.containers) {
        CTL_ASSIGN(const auto subject, find_subject(prepared, name));
        if (subject.state() == wish.state && subject.observed.held == subject.is_held_by(wish)) continue;
        if (wish.state == ContainerState::stopped) output.changes.push_back(stop_change(subject, wish));
        else if (wish.starts && wish.state == ContainerState::running && subject.state() == ContainerState::stopped)
            starting.push_back(subject);
        else {
            CTL_TRY(check_runs(subject, wish));
            output.changes.push_back(freezing_change(subject, wish));
        }
    }
    if (!starting.empty()) {
        CTL_ASSIGN(auto started, start_changes(environment, prepared, starting, wish));
        merge(output, std::move(started));
    }
    CTL_TRY(put_in_order(prepared, std::move(output)));
    return prepared;
}

}  // namespace ctl::reconcile
