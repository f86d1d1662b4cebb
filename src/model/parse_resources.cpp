#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "model/parse_reader.h"
#include "model/readiness.h"
#include "model/value_check.h"
#include "model/value_types.h"

namespace ctl::model {

namespace {

/// The list's scalars; nothing for a node that is no list.
std::vector<Value> values_of(const Node* list) {
    std::vector<Value> values;
    if (list == nullptr) return values;
    for (const auto& item : list->items)
        if (item.is_scalar()) values.push_back(value_of(item));
    return values;
}

bool asks_for_something(const Node& node) {
    return node.is_scalar() ? !node.text.empty() : !node.items.empty() || !node.pairs.empty();
}

bool flag(const Node* map, std::string_view name, bool otherwise) {
    const Node* field = map != nullptr ? map->find(name) : nullptr;
    return field != nullptr ? parse_bool(field->text).value_or(otherwise) : otherwise;
}

/// Config whose table depends on a type; where there is no such type, that was said and the keys can't be judged.
Config read_typed_config(const Node& node, SchemaKind kind, const Value& type, Diagnostics& diagnostics) {
    Config config = read_config(node.find("config"));
    const KeyTable* table = config_of(kind, type.text);
    if (table == nullptr) return config;
    const KeyInfo* key = fields_of(kind).find(kind == SchemaKind::network ? "type" : "driver");
    const bool is_unsupported = key->refuses(type.text);
    const std::string_view noun = kind == SchemaKind::network ? "network" : "storage pool";
    check_config(config, {*table, fmt::format("a {} {}", type.text, noun), {}, is_unsupported}, diagnostics);
    return config;
}

Config read_instance_config(const Node& node, SchemaKind kind, Diagnostics& diagnostics) {
    Config config = read_config(node.find("config"));
    check_config(config, {*config_of(kind, ""), fmt::format("a {}", to_string(kind)), to_string(kind)}, diagnostics);
    return config;
}

Config read_plain_config(const Node& node, SchemaKind kind, std::string of, Diagnostics& diagnostics) {
    Config config = read_config(node.find("config"));
    check_config(config, {*config_of(kind, ""), std::move(of)}, diagnostics);
    return config;
}

std::vector<resource::AclRule> read_acl_rules(const Node* list, Diagnostics& diagnostics) {
    std::vector<resource::AclRule> rules;
    if (list == nullptr) return rules;
    for (const Node& item : list->items) {
        if (!item.is_map()) continue;
        check_fields(item, acl_rule_fields(), diagnostics);
        rules.push_back({field_value(item, "action"), field_value(item, "state"), field_value(item, "source"),
                         field_value(item, "destination"), field_value(item, "protocol"), field_value(item, "source_port"),
                         field_value(item, "destination_port"), field_value(item, "icmp_type"),
                         field_value(item, "icmp_code"), field_value(item, "description"), item.where});
    }
    return rules;
}

std::vector<resource::ForwardPort> read_forward_ports(const Node* list, Diagnostics& diagnostics) {
    std::vector<resource::ForwardPort> ports;
    if (list == nullptr) return ports;
    for (const Node& item : list->items) {
        if (!item.is_map()) continue;
        check_fields(item, forward_port_fields(), diagnostics);
        ports.push_back({field_value(item, "protocol"), field_value(item, "listen_port"),
                         field_value(item, "target_address"), field_value(item, "target_port"),
                         field_value(item, "description"), item.where});
    }
    return ports;
}

Lifecycle read_lifecycle(const Node* map, Diagnostics& diagnostics) {
    Lifecycle lifecycle;
    if (map == nullptr) return lifecycle;
    check_fields(*map, lifecycle_fields(), diagnostics);
    lifecycle.prevent_destroy = flag(map, "prevent_destroy", lifecycle.prevent_destroy);
    lifecycle.prune = flag(map, "prune", lifecycle.prune);
    lifecycle.on_restart_needed =
        enum_from<OnRestartNeeded>(field_value(*map, "on_restart_needed").text).value_or(lifecycle.on_restart_needed);
    return lifecycle;
}

}  // namespace

Value field_value(const Node& node, std::string_view name) {
    const Node* field = node.find(name);
    return field != nullptr ? value_of(*field) : Value{};
}

void check_fields(const Node& node, const KeyTable& fields, Diagnostics& diagnostics) {
    for (const auto& [name, field] : node.pairs) {
        const KeyInfo* key = fields.find(name.text);
        if (key == nullptr) continue;
        if (!key->type.empty() && (field.is_scalar() || field.is_null()))
            check_value(*key, name.text, value_of(field), name.where, diagnostics);
        else if (key->is_refused() && asks_for_something(field))
            report_unsupported(name.text, key->note, name.where, diagnostics);
    }
}

Value value_of(const Node& node) { return {node.is_scalar() ? node.text : std::string{}, node.where}; }

Config read_config(const Node* map) {
    Config config;
    if (map == nullptr) return config;
    for (const auto& [key, value] : map->pairs)
        if (value.is_scalar() || value.is_null()) config.emplace(key.text, ConfigEntry{value_of(value), key.where});
    return config;
}

void check_config(const Config& config, const ConfigReading& reading, Diagnostics& diagnostics) {
    for (const auto& [name, entry] : config) {
        if (diagnostics.error_count() >= most_faults) return;
        const KeyInfo* key = reading.table.find(name);
        if (key == nullptr) {
            const auto meant = reading.table.suggestion(name);
            diagnostics.error("unknown-key", fmt::format("unknown key {} of {}", shown(name), reading.of), entry.key_where,
                              meant.empty() ? std::string{} : fmt::format("did you mean {}?", meant));
            continue;
        }
        const bool is_others = !key->only.empty() && !reading.variant.empty() &&
                               std::find(key->only.begin(), key->only.end(), reading.variant) == key->only.end();
        if (is_others) {
            diagnostics.error("unknown-key", fmt::format("{} is no key of {}", escaped(name), reading.of), entry.key_where,
                              fmt::format("{} has it", joined(key->only, ", ")));
            continue;
        }
        if (!reading.names_only) check_value(*key, name, entry.value, entry.key_where, diagnostics);
    }
}

resource::Network read_network(const Node& node, Diagnostics& diagnostics) {
    check_fields(node, fields_of(SchemaKind::network), diagnostics);
    resource::Network network;
    network.name = field_value(node, "name");
    network.type = field_value(node, "type");
    if (network.type.empty()) network.type = field_value(node, "networkType");
    if (network.type.empty()) network.type = {"bridge", network.name.where};
    network.config = read_typed_config(node, SchemaKind::network, network.type, diagnostics);
    network.description = field_value(node, "description");
    return network;
}

resource::NetworkAcl read_network_acl(const Node& node, Diagnostics& diagnostics) {
    check_fields(node, fields_of(SchemaKind::network_acl), diagnostics);
    resource::NetworkAcl acl;
    acl.name = field_value(node, "name");
    acl.ingress = read_acl_rules(node.find("ingress"), diagnostics);
    acl.egress = read_acl_rules(node.find("egress"), diagnostics);
    acl.config = read_plain_config(node, SchemaKind::network_acl, "a network ACL", diagnostics);
    acl.description = field_value(node, "description");
    return acl;
}

resource::NetworkForward read_network_forward(const Node& node, Diagnostics& diagnostics) {
    check_fields(node, fields_of(SchemaKind::network_forward), diagnostics);
    resource::NetworkForward forward;
    forward.network = field_value(node, "network");
    forward.listen_address = field_value(node, "listen_address");
    forward.config = read_plain_config(node, SchemaKind::network_forward, "a network forward", diagnostics);
    forward.ports = read_forward_ports(node.find("ports"), diagnostics);
    forward.description = field_value(node, "description");
    forward.where = node.where;
    return forward;
}

resource::Profile read_profile(const Node& node, Diagnostics& diagnostics) {
    check_fields(node, fields_of(SchemaKind::profile), diagnostics);
    return {field_value(node, "name"), read_instance_config(node, SchemaKind::profile, diagnostics),
            read_devices(node.find("devices"), diagnostics), field_value(node, "description")};
}

resource::StoragePool read_storage_pool(const Node& node, Diagnostics& diagnostics) {
    check_fields(node, fields_of(SchemaKind::storage_pool), diagnostics);
    resource::StoragePool pool;
    pool.name = field_value(node, "name");
    pool.driver = field_value(node, "driver");
    pool.config = read_typed_config(node, SchemaKind::storage_pool, pool.driver, diagnostics);
    pool.trash = field_value(node, "trash");
    pool.description = field_value(node, "description");
    return pool;
}

resource::Volume read_volume(const Node& node, Diagnostics& diagnostics) {
    check_fields(node, fields_of(SchemaKind::volume), diagnostics);
    resource::Volume volume;
    volume.name = field_value(node, "name");
    volume.pool = field_value(node, "pool");
    volume.config = read_plain_config(node, SchemaKind::volume, "a volume", diagnostics);
    volume.lifecycle = read_lifecycle(node.find("lifecycle"), diagnostics);
    volume.description = field_value(node, "description");
    return volume;
}

resource::Container read_container(const Node& node, Diagnostics& diagnostics) {
    check_fields(node, fields_of(SchemaKind::container), diagnostics);
    resource::Container container;
    container.name = field_value(node, "name");
    container.image = field_value(node, "image");
    const Node* profiles = node.find("profiles");
    container.profiles_given = profiles != nullptr && !profiles->is_null();
    container.profiles =
        container.profiles_given ? values_of(profiles) : std::vector<Value>{{"default", container.name.where}};
    container.config = read_instance_config(node, SchemaKind::container, diagnostics);
    container.devices = read_devices(node.find("devices"), diagnostics);
    container.depends_on = read_depends_on(node.find("depends_on"));
    container.lifecycle = read_lifecycle(node.find("lifecycle"), diagnostics);
    container.state = field_value(node, "state");
    if (container.state.empty()) container.state = {"running", container.name.where};
    container.description = field_value(node, "description");
    return container;
}

}  // namespace ctl::model
