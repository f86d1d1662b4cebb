#include "diff/bonds.h"

#include <algorithm>
#include <set>
#include <unordered_map>

#include <fmt/format.h>

#include "diff/fields.h"
#include "diff/policy.h"

namespace ctl::diff {

using model::Bond;
using model::Effect;
using model::Entry;
using model::ObjectId;
using model::ObjectKind;

namespace {

struct IdHash {
    std::size_t operator()(const ObjectId& id) const {
        return std::hash<std::string>()(id.name) * 31 + static_cast<std::size_t>(id.kind);
    }
};

struct Dependent {
    const ObjectId* id;
    const Entry* entry;
    Bond bond;
};

bool is_made_anew(const Change& change) {
    return change.verb == Verb::replace || (change.verb == Verb::create && !change.observed);
}

/// A volume whose ids are shifted must not be in use meanwhile.
bool is_taken_away(const Change& change) {
    return is_made_anew(change) || (change.id.kind != ObjectKind::container && change.effect == Effect::restart);
}

class Propagation {
public:
    Propagation(const Input& input, std::map<ObjectId, Change>& changes, Diagnostics& diagnostics)
        : in_(input), changes_(changes), diagnostics_(diagnostics) {}

    void run() {
        for (const auto& [id, change] : changes_)
            if (is_taken_away(change)) pending_.push_back(id);
        if (pending_.empty()) return;
        index_dependents();
        while (!pending_.empty()) {
            const Change& source = changes_.at(pending_.back());
            pending_.pop_back();
            if (const auto found = dependents_.find(source.id); found != dependents_.end())
                for (const auto& dependent : found->second) reach(dependent, source);
        }
        for (const auto& id : refused_) changes_.erase(id);
    }

private:
    /// Who has to hear of a change, by the object it needs. What is not on the host yet is made after it anyhow.
    void index_dependents() {
        for (const auto& [id, entry] : in_.desired) {
            if (!in_.observed.contains(id)) continue;
            for (const auto& need : entry.needs)
                if (need.bond != Bond::order) dependents_[need.id].push_back({&id, &entry, need.bond});
            const auto* link = std::get_if<model::Link>(&entry.object);
            if (link != nullptr && link->peer)
                dependents_[{ObjectKind::link, *link->peer}].push_back({&id, &entry, Bond::rebuild});
        }
    }

    void reach(const Dependent& dependent, const Change& source) {
        switch (dependent.bond) {
            case Bond::order: return;
            case Bond::reapply:
                if (is_made_anew(source)) reapply(dependent, source);
                return;
            case Bond::restart: return restart(dependent, source);
            case Bond::rebuild:
                if (is_made_anew(source)) rebuild(dependent, source);
                return;
        }
    }

    /// The dependent's change, made if there is none; null when it is not ours to change (a refused conflict).
    Change* change_of(const Dependent& dependent) {
        const auto known = changes_.find(*dependent.id);
        if (known != changes_.end()) return &known->second;
        const Entry& observed = in_.observed.at(*dependent.id);
        const bool is_ours = observed.mark != model::Mark::none &&
                             (observed.mark != model::Mark::complete || observed.owner.stack == in_.stack);
        if (!dependent.entry->borrowed && !is_ours) return nullptr;
        Change change;
        change.id = *dependent.id;
        const auto recorded = in_.recorded.find(change.id);
        const model::Object* was = recorded != in_.recorded.end() ? &recorded->second.object : nullptr;
        change.observed = observed;
        if (change.observed->needs.empty())
            change.observed.edit().needs = recorded != in_.recorded.end() ? recorded->second.needs : dependent.entry->needs;
        change.desired = with_members(*dependent.entry, field_changes(*dependent.entry, observed.object, was));
        return &changes_.emplace(change.id, std::move(change)).first->second;
    }

    static void add_reason(Change& change, std::string reason) {
        change.reason += change.reason.empty() ? reason : "; " + reason;
    }

    std::string because(const Change& source) const {
        std::string_view fate = "replaced";
        if (source.verb == Verb::create) fate = in_.recorded.contains(source.id) ? "made again" : "new";
        return fmt::format("needs {}, which is {}", source.id.str(), fate);
    }

    /// True if the change sets the very field that names the source.
    static bool names_again(const Change& change, const Change& source) {
        const model::FieldValue name = source.id.name;
        return std::any_of(change.fields.begin(), change.fields.end(),
                           [&](const FieldChange& field) { return field.to == name && field.from != field.to; });
    }

    void rebuild(const Dependent& dependent, const Change& source) {
        Change* change = change_of(dependent);
        if (change == nullptr || change->verb == Verb::replace || dependent.entry->borrowed) return;
        add_reason(*change, because(source));
        change->verb = Verb::replace;
        change->effect = Effect::replace;
        change->deferred = false;
        if (!apply_policy(in_, *change, diagnostics_)) refused_.insert(change->id);
        pending_.push_back(change->id);
    }

    /// What a thing did not stand on before can't be taken from under it: a volume attached anew is made and plugged in.
    bool stood_on(const Dependent& dependent, const Change& source) const {
        const auto recorded = in_.recorded.find(*dependent.id);
        if (recorded == in_.recorded.end()) return true;
        const auto& needs = recorded->second.needs;
        return std::any_of(needs.begin(), needs.end(), [&](const model::Need& need) { return need.id == source.id; });
    }

    void restart(const Dependent& dependent, const Change& source) {
        if (!stood_on(dependent, source)) return;
        const auto observed = in_.observed.find(*dependent.id);
        if (!std::holds_alternative<model::Container>(observed->second.object)) return;
        const bool is_new = !changes_.contains(*dependent.id);
        Change* change = change_of(dependent);
        if (change == nullptr) return;
        if (!keeps_running(*change) || change->verb == Verb::create) {
            if (is_new) changes_.erase(*dependent.id);
            return;
        }
        if (change->effect == Effect::restart || refused_.contains(change->id)) return;
        if (!restart_for(in_, *change, source, diagnostics_)) refused_.insert(change->id);
    }

    void reapply(const Dependent& dependent, const Change& source) {
        Change* change = change_of(dependent);
        if (change == nullptr || change->verb == Verb::replace || change->verb == Verb::create) return;
        if (names_again(*change, source)) return;
        add_reason(*change, because(source));
        if (change->fields.empty()) return;
        // An update with fields sets only those; the others have to be named to be applied again as well.
        for (auto& field : all_fields(*change->desired)) {
            const bool is_named = std::any_of(change->fields.begin(), change->fields.end(),
                                              [&](const FieldChange& known) { return known.name == field.name; });
            if (is_named || field.effect > Effect::hotplug) continue;
            field.from = field.to;
            field.cause = Cause::drift;
            change->fields.push_back(std::move(field));
        }
    }

    const Input& in_;
    std::map<ObjectId, Change>& changes_;
    Diagnostics& diagnostics_;
    std::unordered_map<ObjectId, std::vector<Dependent>, IdHash> dependents_;
    std::vector<ObjectId> pending_;
    std::set<ObjectId> refused_;
};

}  // namespace

void propagate_bonds(const Input& input, std::map<ObjectId, Change>& changes, Diagnostics& diagnostics) {
    Propagation(input, changes, diagnostics).run();
}

}  // namespace ctl::diff
