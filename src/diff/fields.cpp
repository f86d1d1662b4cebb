#include "diff/fields.h"

#include <algorithm>
#include <iterator>
#include <tuple>
#include <type_traits>

#include "diff/diff.h"

namespace ctl::diff {

using model::Effect;
using model::Entry;
using model::FieldValue;
using model::Merge;
using model::Object;
using model::ObjectKind;

namespace {

/// Calls `visit(row)` with every row of the field table of T.
template <typename T, typename Visit>
void each_row(const Visit& visit) {
    std::apply([&](const auto&... row) { (visit(row), ...); }, T::fields());
}

template <typename T>
constexpr bool is_collection = requires(const T& value) {
    value.empty();
};

/// Equal as far as a host can tell: an empty list, map or text is the same as none at all.
template <typename T>
bool is_same(const std::optional<T>& wanted, const std::optional<T>& seen) {
    if constexpr (is_collection<T>) {
        if (!wanted || !seen) return (!wanted || wanted->empty()) && (!seen || seen->empty());
    }
    return wanted == seen;
}

template <typename T>
std::optional<FieldValue> neutral(const std::optional<T>& value) {
    return value ? std::optional<FieldValue>(model::to_field_value(*value)) : std::nullopt;
}

SourceSpan place_of(const Entry& entry, std::string_view field) {
    const auto it = entry.places.find(std::string(field));
    return it != entry.places.end() ? it->second : entry.where;
}

/// What is ours to lose: such an object is never made anew only because a setting is not mentioned any more.
bool holds_data(ObjectKind kind) {
    return kind == ObjectKind::image || kind == ObjectKind::volume || kind == ObjectKind::pool;
}

/// A macvlan enters or leaves passthru mode only at birth.
Effect effect_of(ObjectKind kind, std::string_view name, Effect effect, const std::optional<FieldValue>& from,
                 const std::optional<FieldValue>& to) {
    const FieldValue passthru = std::string("passthru");
    if (kind == ObjectKind::link && name == "mode" && (from == passthru || to == passthru)) return Effect::replace;
    return effect;
}

template <typename T>
T without(const T& set, const T& removed) {
    T result;
    std::set_difference(set.begin(), set.end(), removed.begin(), removed.end(), std::inserter(result, result.end()));
    return result;
}

/// (seen ∪ wanted) without what was ours and is wanted no more.
template <typename T>
T merged(const std::optional<T>& wanted, const std::optional<T>& seen, const std::optional<T>& recorded) {
    T result = seen.value_or(T{});
    if (recorded) result = without(result, without(*recorded, wanted.value_or(T{})));
    if (wanted) result.insert(wanted->begin(), wanted->end());
    return result;
}

template <typename T>
constexpr bool is_set = requires(T& value) {
    value.insert(typename T::key_type());
}
&&!requires { typename T::mapped_type; };

/// Compares typed members and makes neutral values only of those that differ: most objects don't.
template <typename T>
class FieldDiff {
public:
    FieldDiff(const Entry& desired, const T& observed, const T* recorded)
        : entry_(desired), desired_(std::get<T>(desired.object)), observed_(observed), recorded_(recorded) {}

    std::vector<FieldChange> run() {
        each_row<T>([&](const auto& row) { decide(row); });
        const bool is_made_anew =
            std::any_of(changes_.begin(), changes_.end(), [](const FieldChange& c) { return c.effect == Effect::replace; });
        if (is_made_anew) std::move(released_.begin(), released_.end(), std::back_inserter(changes_));
        return std::move(changes_);
    }

private:
    template <typename Row>
    void decide(const Row& row) {
        const auto& wanted = desired_.*(row.member);
        const auto& seen = observed_.*(row.member);
        const std::remove_cvref_t<decltype(wanted)> none;
        const auto& was = recorded_ != nullptr ? recorded_->*(row.member) : none;
        if (!wanted && !was) return;
        using Value = typename std::remove_cvref_t<decltype(wanted)>::value_type;
        const Cause cause = !wanted ? Cause::unset : wanted == was ? Cause::drift : Cause::changed;
        if constexpr (is_set<Value>) {
            if (row.merge == Merge::members) {
                const std::optional<Value> to = merged(wanted, seen, was);
                if (!is_same(to, seen)) add(row, neutral(seen), neutral(to), cause);
                return;
            }
        }
        if (wanted) {
            if (!is_same(wanted, seen)) add(row, neutral(seen), neutral(wanted), cause);
        } else if (seen && seen == was) {
            add(row, neutral(seen), std::nullopt, cause);
        }
    }

    template <typename Row>
    void add(const Row& row, std::optional<FieldValue> from, std::optional<FieldValue> to, Cause cause) {
        const Effect effect = effect_of(T::kind, row.name, row.effect, from, to);
        const bool is_released = cause == Cause::unset && effect >= Effect::replace && holds_data(T::kind);
        FieldChange change{std::string(row.name), std::move(from), std::move(to), effect, cause, place_of(entry_, row.name)};
        (is_released ? released_ : changes_).push_back(std::move(change));
    }

    const Entry& entry_;
    const T& desired_;
    const T& observed_;
    const T* recorded_;
    std::vector<FieldChange> changes_;
    std::vector<FieldChange> released_;  ///< shown only when the object is made anew for another reason
};

}  // namespace

std::vector<FieldChange> field_changes(const Entry& desired, const Object& observed, const Object* recorded) {
    return std::visit(
        [&](const auto& seen) {
            using T = std::remove_cvref_t<decltype(seen)>;
            const T* was = recorded != nullptr ? std::get_if<T>(recorded) : nullptr;
            return FieldDiff<T>(desired, seen, was).run();
        },
        observed);
}

std::vector<FieldChange> release_changes(const Object& recorded, const Object& observed, const Object* others) {
    Entry nothing;
    nothing.object = model::make_object(model::kind_of(recorded));
    std::vector<FieldChange> changes = field_changes(nothing, observed, &recorded);
    // Whether an interface was up before is not known, and taking a NIC down can cut the host off.
    std::erase_if(changes,
                  [](const FieldChange& change) { return change.effect >= Effect::replace || change.name == "up"; });
    if (others == nullptr) return changes;
    for (const auto& view : model::fields_of(*others))
        if (view.value) std::erase_if(changes, [&](const FieldChange& change) { return change.name == view.name; });
    return changes;
}

std::vector<FieldChange> all_fields(const Entry& desired) {
    std::vector<FieldChange> changes;
    for (auto& view : model::fields_of(desired.object)) {
        if (!view.value) continue;
        changes.push_back({std::string(view.name), std::nullopt, std::move(view.value), view.effect, Cause::changed,
                           place_of(desired, view.name)});
    }
    return changes;
}

Entry with_members(Entry desired, const std::vector<FieldChange>& fields) {
    for (const auto& view : model::fields_of(desired.object)) {
        if (!view.value || view.merge != Merge::members) continue;
        for (const auto& change : fields)
            if (change.name == view.name && change.to)
                static_cast<void>(model::set_field(desired.object, view.name, change.to));
    }
    return desired;
}

std::vector<std::string> disagreements(const Object& a, const Object& b) {
    std::vector<std::string> names;
    std::visit(
        [&](const auto& left) {
            using T = std::remove_cvref_t<decltype(left)>;
            const T* right = std::get_if<T>(&b);
            if (right == nullptr) return;
            each_row<T>([&](const auto& row) {
                const auto& one = left.*(row.member);
                const auto& other = right->*(row.member);
                if (row.merge == Merge::whole && one && other && *one != *other) names.emplace_back(row.name);
            });
        },
        a);
    return names;
}

std::vector<FieldChange> unmet(const Object& wanted, const Object* seen) {
    if (seen == nullptr) return {FieldChange{}};
    std::vector<FieldChange> missing;
    std::visit(
        [&](const auto& want) {
            using T = std::remove_cvref_t<decltype(want)>;
            const T empty;
            const T* have = std::get_if<T>(seen);
            const T& there = have != nullptr ? *have : empty;
            each_row<T>([&](const auto& row) {
                const auto& value = want.*(row.member);
                const auto& other = there.*(row.member);
                if (!value || is_same(value, other)) return;
                using Value = typename std::remove_cvref_t<decltype(value)>::value_type;
                if constexpr (is_set<Value>) {
                    if (row.merge == Merge::members && other && without(*value, *other).empty()) return;
                }
                missing.push_back({std::string(row.name), neutral(other), neutral(value), row.effect, Cause::drift, {}});
            });
        },
        wanted);
    return missing;
}

}  // namespace ctl::diff
