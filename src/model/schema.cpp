#include "model/schema.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/text.h"
#include "model/schema_documents.h"

namespace ctl::model {

namespace {

using Json = rapidjson::Value;

constexpr std::string_view wildcard = "NAME";
constexpr std::array<std::pair<SchemaKind, std::string_view>, 11> kind_names{{
    {SchemaKind::stack, "stack"},
    {SchemaKind::network, "network"},
    {SchemaKind::network_acl, "network_acl"},
    {SchemaKind::network_forward, "network_forward"},
    {SchemaKind::profile, "profile"},
    {SchemaKind::storage_pool, "storage_pool"},
    {SchemaKind::volume, "volume"},
    {SchemaKind::image, "image"},
    {SchemaKind::container, "container"},
    {SchemaKind::device, "device"},
    {SchemaKind::policy, "policy"},
}};

std::string text_of(const Json& object, const char* key) {
    const auto member = object.FindMember(key);
    if (member == object.MemberEnd() || !member->value.IsString()) return {};
    return {member->value.GetString(), member->value.GetStringLength()};
}

std::vector<std::string> texts_of(const Json& object, const char* key) {
    std::vector<std::string> texts;
    const auto member = object.FindMember(key);
    if (member == object.MemberEnd()) return texts;
    for (const auto& item : member->value.GetArray()) texts.emplace_back(item.GetString(), item.GetStringLength());
    return texts;
}

std::optional<Effect> effect_of(const Json& object) {
    static constexpr std::array<std::pair<Effect, std::string_view>, 5> names{{
        {Effect::live, "live"},
        {Effect::hotplug, "hotplug"},
        {Effect::restart, "restart"},
        {Effect::replace, "replace"},
        {Effect::fixed, "fixed"},
    }};
    const std::string text = text_of(object, "x-effect");
    for (const auto& [effect, name] : names)
        if (name == text) return effect;
    return std::nullopt;
}

Support support_of(const Json& object) {
    const std::string text = text_of(object, "x-support");
    if (text == "never") return Support::never;
    if (text == "notice") return Support::notice;
    if (text == "ignored") return Support::ignored;
    return Support::yes;
}

KeyInfo read_key(std::string name, const Json& json) {
    KeyInfo key;
    key.name = std::move(name);
    key.type = text_of(json, "x-type");
    key.doc = text_of(json, "description");
    key.note = text_of(json, "x-note");
    if (json.HasMember("default")) key.default_value = text_of(json, "default");
    key.effect = effect_of(json);
    key.support = support_of(json);
    key.inert = texts_of(json, "x-inert");
    key.values = texts_of(json, "enum");
    key.values_never = texts_of(json, "x-never");
    key.only = texts_of(json, "x-only");
    return key;
}

/// The table of a schema's properties. A device's `type` only tells the schemas apart, it is no key of its own.
KeyTable read_table(const Json& schema) {
    std::vector<KeyInfo> keys;
    for (const auto& [name, json] : schema["properties"].GetObject())
        if (!json.HasMember("const")) keys.push_back(read_key({name.GetString(), name.GetStringLength()}, json));
    const auto families = schema.FindMember("patternProperties");
    if (families != schema.MemberEnd())
        for (const auto& family : families->value.GetObject())
            keys.push_back(read_key(text_of(family.value, "x-name"), family.value));
    return KeyTable(std::move(keys));
}

bool family_holds(std::string_view family, std::string_view key) {
    const std::size_t hole = family.find(wildcard);
    const std::string_view before = family.substr(0, hole);
    const std::string_view after = family.substr(hole + wildcard.size());
    if (!key.starts_with(before) || !key.ends_with(after) || key.size() <= before.size() + after.size()) return false;
    // As in the schemas' patterns: a name between two dots has no dot itself.
    const std::string_view name = key.substr(before.size(), key.size() - before.size() - after.size());
    return after.empty() || name.find('.') == std::string_view::npos;
}

struct Tables {
    std::map<SchemaKind, KeyTable> fields;
    std::map<SchemaKind, std::map<std::string, KeyTable, std::less<>>> configs;
    KeyTable image_source;
    KeyTable lifecycle;
    KeyTable acl_rule;
    KeyTable forward_port;
};

Tables read_tables() {
    Tables tables{{},
                  {},
                  read_table(schema_document("image")["properties"]["source"]),
                  read_table(schema_document("container")["properties"]["lifecycle"]),
                  read_table(schema_document("network_acl")["definitions"]["rule"]),
                  read_table(schema_document("network_forward")["definitions"]["port"])};
    for (const auto& [kind, name] : kind_names) tables.fields.emplace(kind, read_table(schema_document(name)));
    for (const auto kind : {SchemaKind::network, SchemaKind::storage_pool, SchemaKind::device})
        for (const auto& [subtype, json] : schema_document(to_string(kind))["definitions"].GetObject())
            tables.configs[kind].emplace(subtype.GetString(), read_table(json));
    for (const auto kind : {SchemaKind::profile, SchemaKind::container})
        tables.configs[kind].emplace("", read_table(schema_document("instance_config")));
    for (const auto kind : {SchemaKind::network_acl, SchemaKind::network_forward, SchemaKind::volume, SchemaKind::policy})
        tables.configs[kind].emplace("", read_table(schema_document(to_string(kind))["definitions"]["config"]));
    tables.configs[SchemaKind::stack].emplace("", read_table(schema_document("stack")["definitions"]["server"]));
    return tables;
}

const Tables& tables() {
    static const Tables all = read_tables();
    return all;
}

}  // namespace

std::string_view to_string(SchemaKind kind) {
    for (const auto& [candidate, name] : kind_names)
        if (candidate == kind) return name;
    return {};
}

std::string plain_kind(std::string_view text) {
    std::string plain;
    for (const char c : text.substr(0, 64)) {
        if (c == '-' || c == '_') continue;
        plain += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    }
    return plain;
}

std::optional<SchemaKind> schema_kind_from(std::string_view text) {
    static constexpr std::array<std::pair<SchemaKind, std::string_view>, 12> spellings{{
        {SchemaKind::stack, "stack"},
        {SchemaKind::network, "network"},
        {SchemaKind::network_acl, "networkacl"},
        {SchemaKind::network_forward, "networkforward"},
        {SchemaKind::profile, "profile"},
        {SchemaKind::storage_pool, "storagepool"},
        {SchemaKind::storage_pool, "pool"},
        {SchemaKind::volume, "volume"},
        {SchemaKind::volume, "storagevolume"},
        {SchemaKind::image, "image"},
        {SchemaKind::container, "container"},
        {SchemaKind::container, "instance"},
    }};
    const std::string plain = plain_kind(text);
    for (const auto& [kind, name] : spellings)
        if (name == plain) return kind;
    return std::nullopt;
}

bool KeyInfo::refuses(std::string_view value) const {
    return std::find(values_never.begin(), values_never.end(), value) != values_never.end();
}

bool KeyInfo::is_family() const { return name.find(wildcard) != std::string::npos; }

KeyTable::KeyTable(std::vector<KeyInfo> keys) : keys_(std::move(keys)) {
    for (std::size_t i = 0; i < keys_.size(); ++i) {
        if (keys_[i].is_family()) families_.push_back(i);
        else exact_.emplace(keys_[i].name, i);
    }
}

const KeyInfo* KeyTable::find(std::string_view key) const {
    const auto exact = exact_.find(key);
    if (exact != exact_.end()) return &keys_[exact->second];
    for (const auto index : families_)
        if (family_holds(keys_[index].name, key)) return &keys_[index];
    return nullptr;
}

std::string_view KeyTable::suggestion(std::string_view key) const {
    std::vector<std::string_view> names;
    for (const auto& info : keys_)
        if (info.support != Support::ignored) names.push_back(info.name);
    return nearest(key, names);
}

const KeyTable& fields_of(SchemaKind kind) { return tables().fields.at(kind); }

const KeyTable& image_source_fields() { return tables().image_source; }

const KeyTable& lifecycle_fields() { return tables().lifecycle; }

const KeyTable& acl_rule_fields() { return tables().acl_rule; }

const KeyTable& forward_port_fields() { return tables().forward_port; }

const KeyTable* config_of(SchemaKind kind, std::string_view subtype) {
    const auto configs = tables().configs.find(kind);
    if (configs == tables().configs.end()) return nullptr;
    const auto table = configs->second.find(subtype);
    return table == configs->second.end() ? nullptr : &table->second;
}

std::vector<std::string_view> subtypes_of(SchemaKind kind) {
    std::vector<std::string_view> names;
    const auto configs = tables().configs.find(kind);
    if (configs == tables().configs.end()) return names;
    for (const auto& [name, table] : configs->second)
        if (!name.empty()) names.push_back(name);
    return names;
}

const KeyInfo* find_key(SchemaKind kind, std::string_view subtype, std::string_view key) {
    const KeyTable* table = config_of(kind, subtype);
    return table != nullptr ? table->find(key) : nullptr;
}

}  // namespace ctl::model
