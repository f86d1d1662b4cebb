#include "diff/diff.h"

#include <algorithm>
#include <map>
#include <set>

#include <fmt/format.h>

#include "base/text.h"
#include "diff/bonds.h"
#include "diff/fields.h"
#include "diff/held.h"
#include "diff/idle_waits.h"
#include "diff/policy.h"

namespace ctl::diff {

using model::Effect;
using model::Entry;
using model::HostState;
using model::Mark;
using model::ObjectId;
using model::ObjectKind;

namespace {

const Entry* find(const HostState& state, const ObjectId& id) {
    const auto it = state.find(id);
    return it != state.end() ? &it->second : nullptr;
}

/// "macvlan with parent enp4s0f0": what a person recognises a thing by.
std::string description(const Entry& entry) {
    constexpr std::array telling{"type", "parent", "peer", "master", "driver", "source", "image", "rootfs", "via", "state"};
    std::vector<std::string> parts;
    for (const auto& view : model::fields_of(entry.object)) {
        if (!view.value || std::find(telling.begin(), telling.end(), view.name) == telling.end()) continue;
        const std::string text = model::to_text(*view.value);
        if (!text.empty()) parts.push_back(fmt::format("{} {}", view.name, text));
    }
    return parts.empty() ? std::string() : fmt::format(" ({})", joined(parts, ", "));
}

std::string why(const std::vector<FieldChange>& fields) {
    std::vector<std::string> parts;
    for (const auto& [cause, phrase] :
         {std::pair{Cause::changed, "changed"}, {Cause::drift, "drifted"}, {Cause::unset, "no longer set"}}) {
        std::vector<std::string> names;
        for (const auto& field : fields)
            if (field.cause == cause) names.push_back(field.name);
        if (!names.empty()) parts.push_back(fmt::format("{} {}", joined(names, ", "), phrase));
    }
    return joined(parts, "; ");
}

class Differ {
public:
    explicit Differ(const Input& input) : in_(input) {}

    Output run() {
        for (const auto& [id, desired] : in_.desired) compare(id, desired);
        for (const auto& [id, recorded] : in_.recorded)
            if (!in_.desired.contains(id)) prune(id, recorded);
        apply_policies();
        propagate_bonds(in_, changes_, output_.diagnostics);
        drop_idle_waits(in_, changes_);
        for (const auto& [id, change] : changes_)
            if (change.desired) check_ground(id, *change.desired);
        output_.changes.reserve(changes_.size());
        for (auto& [id, change] : changes_) output_.changes.push_back(std::move(change));
        return std::move(output_);
    }

private:
    void compare(const ObjectId& id, const Entry& desired) {
        const Entry* observed = find(in_.observed, id);
        if (clashes_with_others(id, desired)) return;
        if (observed == nullptr) {
            if (desired.borrowed) missing_borrowed(id, desired);
            else create(id, desired, nullptr, in_.recorded.contains(id) ? "gone from the host" : "new in the stack");
            return;
        }
        if (const ObjectId* maker = goes_with(id, desired)) {
            create(id, desired, nullptr, fmt::format("{} goes, and what it made with it", maker->str()));
            return;
        }
        if (!desired.borrowed && is_foreign(id, desired, *observed)) return;
        if (const ObjectId* maker = is_handed_over(id, desired, *observed)) return hand_over(id, desired, *observed, *maker);
        update(id, desired, *observed);
    }

    /// Two stacks may set different fields of a borrowed thing; a thing itself has one owner.
    bool clashes_with_others(const ObjectId& id, const Entry& desired) {
        const Entry* other = find(in_.others, id);
        if (other == nullptr) return false;
        if (desired.borrowed || other->borrowed) {
            const auto fields = disagreements(desired.object, other->object);
            if (fields.empty()) return false;
            output_.diagnostics.error("conflict",
                                      fmt::format("{} of {} is set by stack {} ({}) to another value", joined(fields, ", "),
                                                  id.str(), quoted(other->owner.stack), other->owner.str()),
                                      desired.where, "set it in one of the two stacks only");
            return true;
        }
        claimed_by(id, desired, other->owner);
        return true;
    }

    void claimed_by(const ObjectId& id, const Entry& desired, const model::ResourceRef& owner) {
        output_.diagnostics.error("conflict",
                                  fmt::format("{} of {} belongs to {} of stack {}", id.str(), desired.owner.str(),
                                              owner.str(), quoted(owner.stack)),
                                  desired.where, "choose another name, or take it out of one of the two stacks");
    }

    /// Reports what is there under the name and isn't ours to change.
    bool is_foreign(const ObjectId& id, const Entry& desired, const Entry& observed) {
        if (observed.mark == Mark::complete && observed.owner.stack != in_.stack) {
            claimed_by(id, desired, observed.owner);
            return true;
        }
        if (observed.mark != Mark::none) return false;
        output_.diagnostics.error(
            "conflict", fmt::format("{} is already on this host and is not ours{}", id.str(), description(observed)),
            desired.where, "choose another name, or delete the one that is there");
        return true;
    }

    void missing_borrowed(const ObjectId& id, const Entry& desired) {
        if (const ObjectId* maker = made_with(id, desired)) {
            Change change{id, Verb::update, Effect::live, all_fields(desired), fmt::format("comes with {}", maker->str())};
            change.desired = desired;
            changes_.emplace(id, std::move(change));
            return;
        }
        missing(id, desired.where);
    }

    /// Once for every place, however many containers inherit it from there.
    void missing(const ObjectId& id, const SourceSpan& where) {
        if (where.is_known() && !told_missing_.emplace(id, where.str()).second) return;
        const std::string what = id.kind == ObjectKind::link ? "interface" : std::string(to_string(id.kind));
        output_.diagnostics.error("missing-host-object", fmt::format("{} {} is not on this host", what, quoted(id.name)),
                                  where, id.kind == ObjectKind::link ? "'ip link' lists the interfaces there are" : "");
    }

    /// What the stack stands on without declaring it (a macvlan's parent, somebody's bridge) has to be there, and to stay.
    void check_ground(const ObjectId& id, const Entry& desired) {
        const ObjectId* last = nullptr;  // needs are sorted: one thing may be needed in two ways
        for (const auto& need : desired.needs) {
            if (in_.desired.contains(need.id) || (last != nullptr && *last == need.id)) continue;
            last = &need.id;
            const auto change = changes_.find(need.id);
            if (!in_.observed.contains(need.id)) missing(need.id, place_of(need.id, desired));
            else if (change != changes_.end() && change->second.verb == Verb::remove)
                output_.diagnostics.error("missing-host-object",
                                          fmt::format("{} needs {}, which is no longer in the stack and would be deleted",
                                                      id.str(), need.id.str()),
                                          place_of(need.id, desired), "declare it again, or hang this on something else");
        }
    }

    /// Where the manifest says that this is to stand on that.
    static const SourceSpan& place_of(const ObjectId& ground, const Entry& desired) {
        for (const auto& view : model::fields_of(desired.object)) {
            const auto place = desired.places.find(std::string(view.name));
            if (place != desired.places.end() && view.value && model::to_text(*view.value) == ground.name)
                return place->second;
        }
        return desired.where;
    }

    /// The object in this plan whose making also makes the borrowed one: a link brings its sysctls, an OVS bridge or port
    /// its link.
    const ObjectId* made_with(const ObjectId& id, const Entry& desired) const {
        for (const auto& need : desired.needs) {
            const bool brings = id.kind == ObjectKind::sysctl || makes_links(need.id);
            const Entry* maker = find(in_.desired, need.id);
            if (brings && maker != nullptr && !in_.observed.contains(need.id)) return &need.id;
        }
        return nullptr;
    }

    static bool makes_links(const ObjectId& id) {
        return id.kind == ObjectKind::ovs_bridge || id.kind == ObjectKind::ovs_port;
    }

    /// What we made ourselves and somebody in this plan shall make from now on: a bridge that becomes one of Open vSwitch.
    const ObjectId* is_handed_over(const ObjectId& id, const Entry& desired, const Entry& observed) const {
        const Entry* recorded = find(in_.recorded, id);
        const bool was_ours = recorded != nullptr && !recorded->borrowed && observed.mark != Mark::none;
        return desired.borrowed && was_ours ? made_with(id, desired) : nullptr;
    }

    void hand_over(const ObjectId& id, const Entry& desired, const Entry& observed, const ObjectId& maker) {
        Change change{id, Verb::replace, Effect::replace, {}, fmt::format("comes with {} from now on", maker.str())};
        change.desired = desired;
        change.observed = with_needs(observed, id);
        changes_.emplace(id, std::move(change));
    }

    /// The reverse: who made the thing that we shall make is of ours, and leaves the stack.
    const ObjectId* goes_with(const ObjectId& id, const Entry& desired) const {
        const Entry* recorded = find(in_.recorded, id);
        if (desired.borrowed || recorded == nullptr || !recorded->borrowed) return nullptr;
        for (const auto& need : recorded->needs) {
            const Entry* maker = find(in_.observed, need.id);
            if (makes_links(need.id) && !in_.desired.contains(need.id) && maker != nullptr && maker->mark != Mark::none)
                return &need.id;
        }
        return nullptr;
    }

    void create(const ObjectId& id, const Entry& desired, const Entry* observed, std::string reason) {
        Change change{id, Verb::create, Effect::live, {}, std::move(reason)};
        change.desired = desired;
        if (observed != nullptr) change.observed = with_needs(*observed, id);
        changes_.emplace(id, std::move(change));
    }

    void update(const ObjectId& id, const Entry& desired, const Entry& observed) {
        const Entry* recorded = find(in_.recorded, id);
        std::vector<FieldChange> fields =
            field_changes(desired, observed.object, recorded != nullptr ? &recorded->object : nullptr);
        const bool is_half_made = observed.mark == Mark::begun && !desired.borrowed;
        const bool changes_hands = observed.mark == Mark::complete && !desired.borrowed && observed.owner != desired.owner;
        if (fields.empty() && !is_half_made && !changes_hands) return;

        Effect effect = Effect::live;
        for (const auto& field : fields) effect = std::max(effect, field.effect);
        if (effect == Effect::fixed) return refuse_fixed(id, desired, fields);
        if (desired.borrowed && effect == Effect::replace) return refuse_borrowed(id, desired, observed);
        if (is_half_made && effect != Effect::replace)
            return create(id, desired, &observed, "half-made by an interrupted run");

        std::string reason = why(fields);
        if (changes_hands)
            reason = fmt::format("belongs to {} now, was {}'s{}{}", desired.owner.str(), observed.owner.str(),
                                 reason.empty() ? "" : "; ", reason);
        const Verb verb = effect == Effect::replace ? Verb::replace : changes_hands ? Verb::adopt : Verb::update;
        Change change{id, verb, effect, std::move(fields), std::move(reason)};
        change.desired = with_members(desired, change.fields);
        change.observed = with_needs(observed, id);
        changes_.emplace(id, std::move(change));
    }

    void refuse_fixed(const ObjectId& id, const Entry& desired, const std::vector<FieldChange>& fields) {
        for (const auto& field : fields) {
            if (field.effect != Effect::fixed) continue;
            const auto text = [](const auto& value) {
                return value ? quoted(model::to_text(*value)) : std::string("nothing");
            };
            output_.diagnostics.error(
                "fixed",
                fmt::format("{} of {} can't change from {} to {}", field.name, id.str(), text(field.from), text(field.to)),
                field.where,
                fmt::format(
                    "take {} and all that is in it out of the stack, apply, then put it back in with the new {}; or declare "
                    "a new one under another name",
                    desired.owner.str(), field.name));
        }
    }

    void refuse_borrowed(const ObjectId& id, const Entry& desired, const Entry& observed) {
        output_.diagnostics.error(
            "conflict", fmt::format("{} would have to be made anew, but it is not ours{}", id.str(), description(observed)),
            desired.where, "choose another one, or change it by hand");
    }

    void prune(const ObjectId& id, const Entry& recorded) {
        const Entry* observed = find(in_.observed, id);
        if (observed == nullptr) return;
        const Entry* other = find(in_.others, id);
        if (recorded.borrowed) {
            auto fields = release_changes(recorded.object, observed->object, other != nullptr ? &other->object : nullptr);
            leave(id, *observed, "no longer in the stack, and not ours to delete", std::move(fields));
        } else if (observed->mark == Mark::none) {
            leave(id, *observed, "no longer in the stack, and no longer carries our mark", {});
        } else if (observed->mark == Mark::complete && observed->owner.stack != in_.stack) {
            return;
        } else if (!recorded.lifecycle.prune) {
            leave(id, *observed, "no longer in the stack, lifecycle.prune is false", {});
        } else if (recorded.lifecycle.prevent_destroy) {
            refuse_destroy(output_.diagnostics, id, Verb::remove, recorded, "it is no longer in the stack");
        } else {
            Change change{id, Verb::remove, Effect::live, {}, "no longer in the stack"};
            change.observed = with_needs(*observed, id);
            changes_.emplace(id, std::move(change));
        }
    }

    void leave(const ObjectId& id, const Entry& observed, std::string reason, std::vector<FieldChange> fields) {
        Change change{id, Verb::forget, Effect::live, std::move(fields), std::move(reason)};
        for (const auto& field : change.fields) change.effect = std::max(change.effect, field.effect);
        change.observed = with_needs(observed, id);
        changes_.emplace(id, std::move(change));
    }

    /// The host does not show what a thing was built upon; the record does, or failing that the manifest.
    Entry with_needs(Entry observed, const ObjectId& id) const {
        if (!observed.needs.empty()) return observed;
        if (const Entry* recorded = find(in_.recorded, id); recorded != nullptr && !recorded->needs.empty())
            observed.needs = recorded->needs;
        else if (const Entry* desired = find(in_.desired, id)) observed.needs = desired->needs;
        return observed;
    }

    void apply_policies() {
        for (auto it = changes_.begin(); it != changes_.end();)
            it = apply_policy(in_, it->second, output_.diagnostics) ? std::next(it) : changes_.erase(it);
    }

    const Input& in_;
    std::map<ObjectId, Change> changes_;
    Output output_;
    std::set<std::pair<ObjectId, std::string>> told_missing_;  // with the place
};

}  // namespace

Output diff(const Input& input) {
    Diagnostics notes;
    const auto desired = with_held_states(input, notes);
    if (!desired) return Differ(input).run();
    const Input held{.desired = *desired,
                     .observed = input.observed,
                     .recorded = input.recorded,
                     .others = input.others,
                     .stack = input.stack,
                     .on_restart_needed = input.on_restart_needed};
    Output output = Differ(held).run();
    output.diagnostics.append(notes);
    return output;
}

}  // namespace ctl::diff
