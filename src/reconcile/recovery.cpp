#include "reconcile/recovery.h"

#include <algorithm>

namespace ctl::reconcile {

namespace {

using model::FieldValue;

std::optional<FieldValue> united(const FieldValue& old, const FieldValue& now) {
    if (const auto* before = std::get_if<std::vector<std::string>>(&old)) {
        const auto* after = std::get_if<std::vector<std::string>>(&now);
        if (after == nullptr) return std::nullopt;
        auto members = *after;
        for (const auto& member : *before)
            if (std::find(members.begin(), members.end(), member) == members.end()) members.push_back(member);
        return members;
    }
    if (const auto* before = std::get_if<std::map<std::string, std::string>>(&old)) {
        const auto* after = std::get_if<std::map<std::string, std::string>>(&now);
        if (after == nullptr) return std::nullopt;
        auto members = *after;
        members.insert(before->begin(), before->end());
        return members;
    }
    return std::nullopt;
}

/// The value of a field to remember, if it differs from the new one.
std::optional<FieldValue> kept_value(const model::FieldView& old, const model::FieldView& now) {
    if (!old.value) return std::nullopt;
    if (!now.value) return old.value;
    return old.merge == model::Merge::members ? united(*old.value, *now.value) : std::nullopt;
}

}  // namespace

model::Entry grown_record(const model::Entry* old, const model::Entry& wanted) {
    model::Entry grown = wanted;
    if (old == nullptr || model::kind_of(old->object) != model::kind_of(wanted.object)) return grown;
    const auto before = model::fields_of(old->object);
    const auto after = model::fields_of(wanted.object);
    for (std::size_t i = 0; i < before.size(); ++i)
        if (const auto value = kept_value(before[i], after[i])) (void)model::set_field(grown.object, before[i].name, value);
    return grown;
}

bool is_there_and_ours(const model::HostState& observed, const model::ObjectId& id, const model::Entry& wanted) {
    const auto seen = observed.find(id);
    return seen != observed.end() && (wanted.borrowed || seen->second.mark != model::Mark::none);
}

model::HostState recovered_record(model::HostState recorded, std::span<const UnfinishedStep> steps,
                                  const model::HostState& observed) {
    for (const auto& step : steps) {
        if (step.verb == diff::Verb::remove) {
            if (!observed.contains(step.id)) recorded.erase(step.id);
            continue;
        }
        const bool makes =
            step.verb == diff::Verb::create || step.verb == diff::Verb::update || step.verb == diff::Verb::adopt;
        if (!makes || !step.desired || !is_there_and_ours(observed, step.id, *step.desired)) continue;
        const auto old = recorded.find(step.id);
        auto grown = grown_record(old != recorded.end() ? &old->second : nullptr, *step.desired);
        recorded.insert_or_assign(step.id, std::move(grown));
    }
    return recorded;
}

model::HostState possible_remains(std::span<const UnfinishedStep> steps, const model::HostState& recorded,
                                  const model::HostState& observed, const model::HostState& desired) {
    model::HostState remains;
    for (const auto& step : steps) {
        if (step.verb != diff::Verb::remove && step.verb != diff::Verb::create) continue;
        if (observed.contains(step.id) || desired.contains(step.id)) continue;
        const auto old = recorded.find(step.id);
        if (!step.desired && old == recorded.end()) continue;
        model::Entry entry = step.desired ? *step.desired : old->second;
        if (entry.borrowed) continue;
        entry.mark = model::Mark::begun;
        entry.lifecycle = {};
        remains.insert_or_assign(step.id, std::move(entry));
    }
    return remains;
}

}  // namespace ctl::reconcile
