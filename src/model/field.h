#pragma once

#include <concepts>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <variant>
#include <vector>

#include "model/ip.h"

namespace ctl::model {

/// What changing a field costs. Ordered from cheap to dear.
enum class Effect {
    live,     ///< applied to the running thing
    hotplug,  ///< a device of the running container is put in or taken out
    restart,  ///< the container (or the service) stops and starts
    replace,  ///< the object is deleted and made anew
    fixed,    ///< refused: the object must be deleted by hand first
};

/// How a field that holds several members meets members that others put there.
enum class Merge {
    whole,    ///< the value is ours as a whole
    members,  ///< only members that we set are ours; those of others stay
};

/// The neutral form of every field's value: what diff compares, JSON stores and people read.
using FieldValue =
    std::variant<bool, std::int64_t, std::string, std::vector<std::string>, std::map<std::string, std::string>>;

/// One line for people: `1500`, `true`, `10.0.3.1/24, fd42::1/64`, `A=1, B=2`. Escaped.
[[nodiscard]] std::string to_text(const FieldValue& value);

/// Enumerations take part in fields by specialising this with `static constexpr std::array<std::pair<E, std::string_view>,
/// N> names`.
template <typename E>
struct EnumNames;

template <typename E>
concept NamedEnum = std::is_enum_v<E> && requires {
    EnumNames<E>::names;
};

template <NamedEnum E>
[[nodiscard]] constexpr std::string_view to_string(E value) {
    for (const auto& [candidate, name] : EnumNames<E>::names)
        if (candidate == value) return name;
    return {};
}

template <NamedEnum E>
[[nodiscard]] constexpr std::optional<E> enum_from(std::string_view text) {
    for (const auto& [candidate, name] : EnumNames<E>::names)
        if (name == text) return candidate;
    return std::nullopt;
}

[[nodiscard]] inline FieldValue to_field_value(bool value) { return value; }
[[nodiscard]] inline FieldValue to_field_value(std::int64_t value) { return value; }
[[nodiscard]] inline FieldValue to_field_value(const std::string& value) { return value; }
[[nodiscard]] inline FieldValue to_field_value(const std::vector<std::string>& value) { return value; }
[[nodiscard]] inline FieldValue to_field_value(const std::map<std::string, std::string>& value) { return value; }
[[nodiscard]] inline FieldValue to_field_value(const std::set<Cidr>& value) { return texts_of(value); }
template <NamedEnum E>
[[nodiscard]] FieldValue to_field_value(E value) {
    return std::string(to_string(value));
}

/// The reverse of to_field_value; false when the value does not fit the type.
template <typename T>
[[nodiscard]] bool from_field_value(const FieldValue& value, T& out) {
    if constexpr (std::is_same_v<T, std::set<Cidr>>) {
        const auto* texts = std::get_if<std::vector<std::string>>(&value);
        if (texts == nullptr) return false;
        out.clear();
        for (const auto& text : *texts) {
            const auto cidr = Cidr::parse(text);
            if (!cidr) return false;
            out.insert(*cidr);
        }
        return true;
    } else if constexpr (NamedEnum<T>) {
        const auto* text = std::get_if<std::string>(&value);
        const auto named = text != nullptr ? enum_from<T>(*text) : std::nullopt;
        if (named) out = *named;
        return named.has_value();
    } else {
        const auto* same = std::get_if<T>(&value);
        if (same != nullptr) out = *same;
        return same != nullptr;
    }
}

/// One row of an object's field table.
template <typename Object, typename T>
struct Field {
    std::string_view name;
    std::optional<T> Object::*member;
    Effect effect;
    Merge merge;
};

template <typename Object, typename T>
[[nodiscard]] constexpr Field<Object, T> field(std::string_view name, std::optional<T> Object::*member, Effect effect,
                                               Merge merge = Merge::whole) {
    return {name, member, effect, merge};
}

}  // namespace ctl::model
