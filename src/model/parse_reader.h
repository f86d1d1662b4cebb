#pragma once

#include <map>
#include <string>
#include <string_view>

#include "base/diagnostics.h"
#include "model/node.h"
#include "model/resource.h"
#include "model/schema.h"

// How resources are read from trees; parse() and its parts only.

namespace ctl::model {

/// Faults past this number say nothing new about a manifest, and each costs a search for a suggestion.
inline constexpr std::size_t most_faults = 500;

/// The scalar as a Value; an empty one, with its place, for a node that is none.
[[nodiscard]] Value value_of(const Node& node);

/// The field's scalar, or an empty Value where there is none.
[[nodiscard]] Value field_value(const Node& node, std::string_view name);

/// Holds the fields of a map that are texts against the table, and says what of the others isn't supported.
void check_fields(const Node& node, const KeyTable& fields, Diagnostics& diagnostics);

/// Reads the keys of one map that belong to a table: `config:` of a resource, or a device without its type.
/// `of` is what they belong to, for messages: "a bridge network". `variant` is the nictype or kind that keys may be limited
/// to,
/// "" when it isn't known. With `names_only` the values of known keys are not looked at.
struct ConfigReading {
    const KeyTable& table;
    std::string of;
    std::string_view variant{};
    bool names_only = false;
};
void check_config(const Config& config, const ConfigReading& reading, Diagnostics& diagnostics);

/// The map as it is written; what is no scalar is left out (check_structure() has said so).
[[nodiscard]] Config read_config(const Node* map);

/// The devices of a profile or container. Overrides are only read: check_overrides() wants to know what they change.
[[nodiscard]] resource::Devices read_devices(const Node* map, Diagnostics& diagnostics);

/// Checks the overrides of a container against the devices they change in its profiles.
using ProfileIndex = std::map<std::string_view, const resource::Profile*>;
void check_overrides(const resource::Container& container, const ProfileIndex& profiles, Diagnostics& diagnostics);

[[nodiscard]] resource::Network read_network(const Node& node, Diagnostics& diagnostics);
[[nodiscard]] resource::NetworkAcl read_network_acl(const Node& node, Diagnostics& diagnostics);
[[nodiscard]] resource::NetworkForward read_network_forward(const Node& node, Diagnostics& diagnostics);
[[nodiscard]] resource::Profile read_profile(const Node& node, Diagnostics& diagnostics);
[[nodiscard]] resource::StoragePool read_storage_pool(const Node& node, Diagnostics& diagnostics);
[[nodiscard]] resource::Volume read_volume(const Node& node, Diagnostics& diagnostics);
[[nodiscard]] resource::Image read_image(const Node& node, Diagnostics& diagnostics);
[[nodiscard]] resource::Container read_container(const Node& node, Diagnostics& diagnostics);

}  // namespace ctl::model
