// valijson wants to come before RapidJSON: it makes RapidJSON's assertions exceptions.
// clang-format off
#include <valijson/adapters/rapidjson_adapter.hpp>
#include <valijson/schema.hpp>
#include <valijson/schema_parser.hpp>
#include <valijson/validator.hpp>
// clang-format on

#include "model/structure.h"

#include <map>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <rapidjson/document.h>

#include "base/text.h"
#include "model/schema_documents.h"
#include "model/value_check.h"

namespace ctl::model {

namespace {

using Json = rapidjson::Value;
using Pool = rapidjson::Document::AllocatorType;
using Adapter = valijson::adapters::RapidJsonAdapter;

Json text_json(std::string_view text, Pool& pool) {
    return Json(text.data(), static_cast<rapidjson::SizeType>(text.size()), pool);
}

/// {"type": [types…]}
Json type_schema(std::initializer_list<std::string_view> types, Pool& pool) {
    Json list(rapidjson::kArrayType);
    for (const auto type : types) list.PushBack(text_json(type, pool), pool);
    Json schema(rapidjson::kObjectType);
    schema.AddMember("type", list, pool);
    return schema;
}

/// A map whose values are texts.
Json texts_schema(Pool& pool) {
    Json schema = type_schema({"object", "null"}, pool);
    schema.AddMember("additionalProperties", type_schema({"string", "null"}, pool), pool);
    return schema;
}

/// A device: texts, and the map of an override.
Json device_schema(Pool& pool) {
    Json schema = type_schema({"object", "null"}, pool);
    Json properties(rapidjson::kObjectType);
    properties.AddMember("override", texts_schema(pool), pool);
    schema.AddMember("properties", properties, pool);
    schema.AddMember("additionalProperties", type_schema({"string", "null"}, pool), pool);
    return schema;
}

/// What may stand there by its "type". YAML's scalars are all texts to us, and nothing stands for an empty text.
Json shape_types(const Json& types, Pool& pool) {
    Json list(rapidjson::kArrayType);
    bool nullable = false;
    const auto add = [&](std::string_view type) {
        if (type == "null") nullable = true;
        else if (type == "object" || type == "array") list.PushBack(text_json(type, pool), pool);
        else if (list.Empty()) {
            list.PushBack("string", pool);
            nullable = true;
        }
    };
    if (types.IsString()) add(types.GetString());
    else
        for (const auto& type : types.GetArray()) add(type.GetString());
    if (nullable) list.PushBack("null", pool);
    return list;
}

/// The part of a schema that is about shape: types, fields, required ones, items. References are put in place.
Json shape_of(const Json& schema, const Json& document, Pool& pool) {
    if (const auto reference = schema.FindMember("$ref"); reference != schema.MemberEnd()) {
        const std::string_view target = reference->value.GetString();
        const Json& referred = schema_reference(document, target);
        return shape_of(referred, target.starts_with('#') ? document : referred, pool);
    }
    if (const auto keys = schema.FindMember("x-keys"); keys != schema.MemberEnd()) {
        if (std::string_view(keys->value.GetString()) != "device") return texts_schema(pool);
        Json devices = type_schema({"object", "null"}, pool);
        devices.AddMember("additionalProperties", device_schema(pool), pool);
        return devices;
    }
    Json shape(rapidjson::kObjectType);
    for (const auto& [name, value] : schema.GetObject()) {
        const std::string_view keyword = name.GetString();
        if (keyword == "type") shape.AddMember("type", shape_types(value, pool), pool);
        else if (keyword == "required") shape.AddMember("required", Json(value, pool), pool);
        else if (keyword == "items") shape.AddMember("items", shape_of(value, document, pool), pool);
        else if (keyword == "additionalProperties" && value.IsBool())
            shape.AddMember("additionalProperties", value.GetBool(), pool);
        else if (keyword == "properties") {
            Json properties(rapidjson::kObjectType);
            for (const auto& [field, inner] : value.GetObject())
                properties.AddMember(Json(field, pool), shape_of(inner, document, pool), pool);
            shape.AddMember("properties", properties, pool);
        }
    }
    return shape;
}

/// A kind's shape, as JSON and as valijson holds it.
struct Shape {
    rapidjson::Document json;
    valijson::Schema schema;
};

const Shape& shape_for(SchemaKind kind) {
    static const std::map<SchemaKind, Shape> shapes = [] {
        std::map<SchemaKind, Shape> all;
        for (const auto each : {SchemaKind::stack, SchemaKind::network, SchemaKind::network_acl, SchemaKind::network_forward,
                                SchemaKind::profile, SchemaKind::storage_pool, SchemaKind::volume, SchemaKind::image,
                                SchemaKind::container, SchemaKind::policy}) {
            Shape& shape = all[each];
            const Json& document = schema_document(to_string(each));
            Json json = shape_of(document, document, shape.json.GetAllocator());
            static_cast<Json&>(shape.json) = json;
            valijson::SchemaParser().populateSchema(Adapter(shape.json), shape.schema);
        }
        return all;
    }();
    return shapes.at(kind);
}

/// The tree as JSON whose strings borrow from it.
Json to_json(const Node& node, Pool& pool) {
    const auto borrow = [](const std::string& text) {
        return rapidjson::StringRef(text.data(), static_cast<rapidjson::SizeType>(text.size()));
    };
    switch (node.kind) {
        case Node::Kind::null: return Json();
        case Node::Kind::scalar: return Json(borrow(node.text));
        case Node::Kind::sequence: {
            Json list(rapidjson::kArrayType);
            list.Reserve(static_cast<rapidjson::SizeType>(node.items.size()), pool);
            for (const auto& item : node.items) list.PushBack(to_json(item, pool), pool);
            return list;
        }
        case Node::Kind::map: {
            Json map(rapidjson::kObjectType);
            for (const auto& pair : node.pairs) map.AddMember(Json(borrow(pair.key.text)), to_json(pair.value, pool), pool);
            return map;
        }
    }
    return Json();
}

std::string_view json_type(const Node& node) {
    switch (node.kind) {
        case Node::Kind::null: return "null";
        case Node::Kind::scalar: return "string";
        case Node::Kind::sequence: return "array";
        case Node::Kind::map: return "object";
    }
    return {};
}

std::string_view spoken(std::string_view type) {
    if (type == "string") return "a single value";
    if (type == "array") return "a list";
    if (type == "object") return "a map";
    return "nothing";
}

/// Finds in the tree what valijson refused, to say it with places and in our words.
class Explainer {
public:
    Explainer(std::size_t limit, Diagnostics& diagnostics) : left_(limit), diagnostics_(diagnostics) {}

    void explain(const Node& node, const Json& shape, std::string_view name, SchemaKind kind) {
        if (left_ == 0) return;
        if (!fits_type(node, shape)) {
            report("wrong-type",
                   fmt::format("{} must be {}, not {}", name, spoken(shape["type"][0].GetString()), spoken(json_type(node))),
                   node.where, {});
            return;
        }
        if (node.is_map()) explain_map(node, shape, name, kind);
        const auto items = shape.FindMember("items");
        if (items == shape.MemberEnd()) return;
        for (std::size_t i = 0; i < node.items.size() && left_ != 0; ++i)
            explain(node.items[i], items->value, fmt::format("{}[{}]", name, i), item_kind(name, kind));
    }

    [[nodiscard]] bool found_some() const { return found_some_; }

private:
    static bool fits_type(const Node& node, const Json& shape) {
        const auto types = shape.FindMember("type");
        if (types == shape.MemberEnd()) return true;
        for (const auto& type : types->value.GetArray())
            if (type.GetString() == json_type(node)) return true;
        return false;
    }

    /// The kind of what is listed in a section of a stack: its fields are the ones to suggest.
    static SchemaKind item_kind(std::string_view section, SchemaKind kind) {
        if (section == "instances") return SchemaKind::container;
        return schema_kind_from(section.substr(0, section.size() - 1)).value_or(kind);
    }

    void explain_map(const Node& node, const Json& shape, std::string_view name, SchemaKind kind) {
        if (const auto required = shape.FindMember("required"); required != shape.MemberEnd())
            for (const auto& key : required->value.GetArray())
                if (node.find(key.GetString()) == nullptr)
                    report("missing-key", fmt::format("{} has no {}", name, key.GetString()), node.where,
                           fmt::format("add {}: …", key.GetString()));
        const auto properties = shape.FindMember("properties");
        const auto others = shape.FindMember("additionalProperties");
        for (const auto& pair : node.pairs) {
            if (left_ == 0) return;
            const Json key(
                rapidjson::StringRef(pair.key.text.data(), static_cast<rapidjson::SizeType>(pair.key.text.size())));
            const auto* known = properties != shape.MemberEnd() ? member(properties->value, key) : nullptr;
            if (known != nullptr) explain(pair.value, *known, pair.key.text, kind);
            else if (others != shape.MemberEnd() && others->value.IsObject())
                explain(pair.value, others->value, shown(pair.key.text), kind);
            else if (others != shape.MemberEnd()) report_unknown(pair.key, properties->value, kind);
        }
    }

    static const Json* member(const Json& object, const Json& key) {
        const auto found = object.FindMember(key);
        return found == object.MemberEnd() ? nullptr : &found->value;
    }

    void report_unknown(const Node& key, const Json& properties, SchemaKind kind) {
        std::vector<std::string_view> names;
        for (const auto& property : properties.GetObject())
            names.emplace_back(property.name.GetString(), property.name.GetStringLength());
        const auto meant = nearest(key.text, names);
        std::string hint;
        if (!meant.empty()) hint = fmt::format("did you mean {}?", meant);
        else if (is_config_key(key.text, kind)) hint = fmt::format("write it under config:");
        report("unknown-key", fmt::format("unknown key {}", shown(key.text)), key.where, std::move(hint));
    }

    static bool is_config_key(std::string_view key, SchemaKind kind) {
        if (find_key(kind, "", key) != nullptr) return true;
        for (const auto subtype : subtypes_of(kind))
            if (find_key(kind, subtype, key) != nullptr) return true;
        return false;
    }

    void report(std::string rule, std::string message, const SourceSpan& where, std::string hint) {
        if (left_ == 0) return;
        diagnostics_.error(std::move(rule), std::move(message), where, std::move(hint));
        found_some_ = true;
        if (--left_ == 0) diagnostics_.error("too-many", "too many faults; the rest is not shown", where);
    }

    std::size_t left_;
    Diagnostics& diagnostics_;
    bool found_some_ = false;
};

}  // namespace

void check_structure(const Node& document, SchemaKind kind, std::size_t limit, Diagnostics& diagnostics) {
    const Shape& shape = shape_for(kind);
    Pool pool;
    const Json json = to_json(document, pool);
    // Without results valijson stops at the first fault: what it would collect has no bound, and no places.
    if (valijson::Validator().validate(shape.schema, Adapter(json), nullptr)) return;
    Explainer explainer(limit, diagnostics);
    explainer.explain(document, shape.json,
                      kind == SchemaKind::stack ? "the document" : fmt::format("the {}", to_string(kind)), kind);
    if (!explainer.found_some())
        diagnostics.error("bad-structure", "the document does not have the shape of its schema", document.where);
}

}  // namespace ctl::model
