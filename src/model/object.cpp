#include "model/object.h"

#include "base/text.h"

namespace ctl::model {

std::string to_text(const FieldValue& value) {
    struct Visitor {
        std::string operator()(bool v) const { return v ? "true" : "false"; }
        std::string operator()(std::int64_t v) const { return std::to_string(v); }
        std::string operator()(const std::string& v) const { return escaped(v); }
        std::string operator()(const std::vector<std::string>& v) const { return escaped(joined(v, ", ")); }
        std::string operator()(const std::map<std::string, std::string>& v) const {
            std::vector<std::string> pairs;
            for (const auto& [key, item] : v) pairs.push_back(key + "=" + item);
            return escaped(joined(pairs, ", "));
        }
    };
    return std::visit(Visitor{}, value);
}

std::optional<ObjectId> ObjectId::parse(std::string_view text) {
    const std::size_t slash = text.find('/');
    if (slash == std::string_view::npos) return std::nullopt;
    const auto kind = enum_from<ObjectKind>(text.substr(0, slash));
    if (!kind) return std::nullopt;
    return ObjectId{*kind, std::string(text.substr(slash + 1))};
}

ScopedName ScopedName::parse(std::string_view text) {
    // A destination like web:fd42::/64 has further colons; a namespace's name has none, an IPv6 destination on the host
    // starts with hex digits and so cannot be told from a name: host routes of that family are scoped as ":fd42::/64".
    const std::size_t colon = text.find(':');
    if (colon == std::string_view::npos) return {"", std::string(text)};
    return {std::string(text.substr(0, colon)), std::string(text.substr(colon + 1))};
}

ObjectKind kind_of(const Object& object) {
    return std::visit([](const auto& o) { return std::decay_t<decltype(o)>::kind; }, object);
}

namespace {

template <std::size_t... I>
Object make_object_at(ObjectKind kind, std::index_sequence<I...>) {
    Object object;
    ((std::variant_alternative_t<I, Object>::kind == kind ? void(object.emplace<I>()) : void()), ...);
    return object;
}

}  // namespace

Object make_object(ObjectKind kind) { return make_object_at(kind, std::make_index_sequence<std::variant_size_v<Object>>{}); }

std::vector<FieldView> fields_of(const Object& object) {
    std::vector<FieldView> views;
    std::visit(
        [&](const auto& o) {
            std::apply(
                [&](const auto&... row) {
                    const auto view = [&](const auto& r) {
                        const auto& member = o.*(r.member);
                        views.push_back({r.name, r.effect, r.merge,
                                         member ? std::optional<FieldValue>(to_field_value(*member)) : std::nullopt});
                    };
                    (view(row), ...);
                },
                std::decay_t<decltype(o)>::fields());
        },
        object);
    return views;
}

bool set_field(Object& object, std::string_view name, const std::optional<FieldValue>& value) {
    bool done = false;
    std::visit(
        [&](auto& o) {
            std::apply(
                [&](const auto&... row) {
                    const auto set = [&](const auto& r) {
                        if (r.name != name) return;
                        auto& member = o.*(r.member);
                        if (!value) {
                            member.reset();
                            done = true;
                            return;
                        }
                        typename std::decay_t<decltype(member)>::value_type converted{};
                        done = from_field_value(*value, converted);
                        if (done) member = std::move(converted);
                    };
                    (set(row), ...);
                },
                std::decay_t<decltype(o)>::fields());
        },
        object);
    return done;
}

}  // namespace ctl::model
