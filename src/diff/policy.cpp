#include "diff/policy.h"

#include <algorithm>

#include <fmt/format.h>

namespace ctl::diff {

using model::ContainerState;
using model::Effect;
using model::Entry;
using model::OnRestartNeeded;

namespace {

std::optional<ContainerState> state_of(const SharedEntry& entry) {
    if (!entry) return std::nullopt;
    const auto* container = std::get_if<model::Container>(&entry->object);
    return container != nullptr ? container->state : std::nullopt;
}

bool is_guarded(const Input& input, const Change& change) {
    if (change.desired && change.desired->lifecycle.prevent_destroy) return true;
    const auto recorded = input.recorded.find(change.id);
    return recorded != input.recorded.end() && recorded->second.lifecycle.prevent_destroy;
}

/// What runs can't drift from what it was started with: a run before has stored these values and put the restart off.
bool is_stored(const Change& change) {
    return std::all_of(change.fields.begin(), change.fields.end(), [](const FieldChange& field) {
        return field.effect == Effect::restart && field.cause == Cause::drift;
    });
}

Effect dearest(const std::vector<FieldChange>& fields, bool with_restart) {
    Effect effect = Effect::live;
    for (const auto& field : fields)
        if (with_restart || field.effect != Effect::restart) effect = std::max(effect, field.effect);
    return effect;
}

void refuse_restart(Diagnostics& diagnostics, const Change& change, std::string_view reason, std::string_view policy,
                    const SourceSpan& where) {
    diagnostics.error(
        "restart-needed",
        fmt::format("{} would have to restart ({}), and lifecycle.on_restart_needed is {}", change.id.str(), reason, policy),
        where, "stop the container first, or run with --restart");
}

bool apply_restart_policy(const Input& input, Change& change, Diagnostics& diagnostics) {
    if (!keeps_running(change)) {
        for (auto& field : change.fields)
            if (field.effect == Effect::restart) field.effect = Effect::live;
        change.effect = dearest(change.fields, true);
        return true;
    }
    switch (restart_policy(input, *change.desired)) {
        case OnRestartNeeded::restart: return true;
        case OnRestartNeeded::defer:
            change.deferred = true;
            change.effect = dearest(change.fields, false);
            change.reason = is_stored(change) ? "stored; pending restart" : change.reason + "; pending restart";
            return true;
        case OnRestartNeeded::never: {
            const auto field = std::find_if(change.fields.begin(), change.fields.end(),
                                            [](const FieldChange& f) { return f.effect == Effect::restart; });
            refuse_restart(diagnostics, change, change.reason, "never", field->where);
            return false;
        }
    }
    return true;
}

}  // namespace

bool keeps_running(const Change& change) {
    const auto now = state_of(change.observed);
    return now && *now != ContainerState::stopped && state_of(change.desired) != ContainerState::stopped;
}

OnRestartNeeded restart_policy(const Input& input, const Entry& desired) {
    return input.on_restart_needed.value_or(desired.lifecycle.on_restart_needed);
}

void refuse_destroy(Diagnostics& diagnostics, const model::ObjectId& id, Verb verb, const Entry& guarded,
                    std::string_view reason) {
    diagnostics.error(
        "prevent-destroy",
        fmt::format("{} of {} would be {} ({}), and is protected against it", id.str(), guarded.owner.str(),
                    verb == Verb::replace ? "replaced" : "deleted", reason),
        guarded.where,
        "undo the change in the manifest, or first apply lifecycle.prevent_destroy: false and security.protection.delete: "
        "false");
}

bool apply_policy(const Input& input, Change& change, Diagnostics& diagnostics) {
    if (change.verb == Verb::replace && is_guarded(input, change)) {
        refuse_destroy(diagnostics, change.id, Verb::replace, *change.desired, change.reason);
        return false;
    }
    const bool changes_container = change.id.kind == model::ObjectKind::container && change.desired &&
                                   (change.verb == Verb::update || change.verb == Verb::adopt);
    return !changes_container || change.effect != Effect::restart || apply_restart_policy(input, change, diagnostics);
}

bool restart_for(const Input& input, Change& change, const Change& source, Diagnostics& diagnostics) {
    const bool is_gone = source.verb == Verb::create;
    const std::string reason = fmt::format("needs {}, which is {}", source.id.str(),
                                           is_gone                        ? "made again"
                                           : source.verb == Verb::replace ? "replaced"
                                                                          : "changed");
    change.reason += change.reason.empty() ? reason : "; " + reason;
    const OnRestartNeeded policy = restart_policy(input, *change.desired);
    if (policy == OnRestartNeeded::restart) {
        change.effect = Effect::restart;
        change.deferred = false;
        return true;
    }
    // What is gone already can't be taken from under the container any more: it can be left as it is until it restarts.
    if (policy == OnRestartNeeded::defer && is_gone) {
        change.deferred = true;
        change.reason += "; pending restart";
        return true;
    }
    refuse_restart(diagnostics, change, reason, to_string(policy), change.desired->where);
    return false;
}

}  // namespace ctl::diff
