#include <algorithm>

#include <fmt/format.h>

#include "base/text.h"
#include "model/parse_reader.h"
#include "model/value_check.h"

namespace ctl::model {

namespace {

using resource::Device;
using resource::Devices;

std::string_view text_of(const Config& keys, std::string_view key) {
    const auto found = keys.find(key);
    return found == keys.end() ? std::string_view{} : std::string_view(found->second.value.text);
}

/// The nictype that decides which keys a NIC may have; a network's type decides where one is named.
std::string_view nictype_of(const Config& keys) {
    return text_of(keys, "network").empty() ? text_of(keys, "nictype") : std::string_view{};
}

/// What is said about a device that isn't supported at all ends with its type.
bool is_supported_nictype(const KeyTable& table, std::string_view nictype) {
    const KeyInfo* key = table.find("nictype");
    return key == nullptr || !key->refuses(nictype);
}

void check_keys(const Config& keys, std::string_view type, std::string_view nictype, bool names_only,
                Diagnostics& diagnostics) {
    const KeyTable* table = config_of(SchemaKind::device, type);
    if (table == nullptr) return;
    const std::string of = nictype.empty() ? fmt::format("a {} device", type) : fmt::format("a {} {}", nictype, type);
    if (is_supported_nictype(*table, nictype)) {
        check_config(keys, {*table, of, nictype, names_only}, diagnostics);
        return;
    }
    const auto entry = keys.find("nictype");
    if (entry != keys.end())
        check_value(*table->find("nictype"), "nictype", entry->second.value, entry->second.key_where, diagnostics);
    check_config(keys, {*table, of, nictype, true}, diagnostics);
}

/// A NIC's `none` asks for nothing. Kept as an empty value it still masks what is inherited.
void empty_inert_values(Config& keys, std::string_view type) {
    const KeyTable* table = config_of(SchemaKind::device, type);
    if (table == nullptr) return;
    for (auto& [name, entry] : keys) {
        const KeyInfo* key = table->find(name);
        if (key != nullptr && key->support == Support::yes && !key->inert.empty() && is_inert(*key, entry.value.text))
            entry.value.text.clear();
    }
}

Device read_override(const Node& map, const Node& override_map, SourceSpan where, Diagnostics& diagnostics) {
    Device device;
    device.where = std::move(where);
    device.is_override = true;
    device.keys = read_config(&override_map);
    empty_inert_values(device.keys, "nic");
    for (const auto& pair : map.pairs)
        if (pair.key.text != "override")
            diagnostics.error("unknown-key", fmt::format("{} can't stand beside override", shown(pair.key.text)),
                              pair.key.where, "write it inside override: {…}");
    return device;
}

Device read_device(const Node& map, SourceSpan where, Diagnostics& diagnostics) {
    Device device;
    device.where = std::move(where);
    device.keys = read_config(&map);
    const auto type = device.keys.extract("type");
    if (type.empty() || type.mapped().value.empty()) {
        diagnostics.error("missing-key", "the device has no type", device.where,
                          "add type: nic or disk; to change a device inherited from a profile write override: {…}");
        return device;
    }
    device.type = type.mapped().value;
    const KeyInfo& key = *fields_of(SchemaKind::device).find("type");
    check_value(key, "type", device.type, type.mapped().key_where, diagnostics);
    check_keys(device.keys, device.type.text, nictype_of(device.keys), key.refuses(device.type.text), diagnostics);
    empty_inert_values(device.keys, device.type.text);
    return device;
}

/// The device of that name in the last profile that has one.
const Device* inherited_device(const resource::Container& container, const std::string& name, const ProfileIndex& profiles) {
    const Device* inherited = nullptr;
    for (const auto& profile_name : container.profiles) {
        const auto profile = profiles.find(profile_name.text);
        if (profile == profiles.end()) continue;
        const auto found = profile->second->devices.find(name);
        if (found != profile->second->devices.end()) inherited = &found->second;
    }
    return inherited;
}

}  // namespace

Devices read_devices(const Node* map, Diagnostics& diagnostics) {
    Devices devices;
    if (map == nullptr) return devices;
    for (const auto& [name, node] : map->pairs) {
        if (diagnostics.error_count() >= most_faults) break;
        if (!node.is_map() && !node.is_null()) continue;
        const Node* override_map = node.find("override");
        const bool is_override = override_map != nullptr && !override_map->is_scalar() && !override_map->is_sequence();
        devices.emplace(name.text, is_override ? read_override(node, *override_map, name.where, diagnostics)
                                               : read_device(node, name.where, diagnostics));
    }
    return devices;
}

void check_overrides(const resource::Container& container, const ProfileIndex& profiles, Diagnostics& diagnostics) {
    for (const auto& [name, device] : container.devices) {
        if (!device.is_override || diagnostics.error_count() >= most_faults) continue;
        const Device* inherited = inherited_device(container, name, profiles);
        if (inherited == nullptr) continue;
        std::string_view nictype = nictype_of(device.keys);
        if (nictype.empty() && text_of(device.keys, "network").empty()) nictype = nictype_of(inherited->keys);
        check_keys(device.keys, inherited->type.text, nictype, false, diagnostics);
    }
}

}  // namespace ctl::model
