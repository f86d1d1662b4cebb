#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/field.h"

// What the schemas (schemas/*.json, embedded) say about every key: read once, the same for validation, documentation and
// completion.

namespace ctl::model {

/// What has a schema.
enum class SchemaKind {
    stack,
    network,
    network_acl,
    network_forward,
    profile,
    storage_pool,
    volume,
    image,
    container,
    device,
    policy
};

/// "stack", "network", "network_acl", "network_forward", "profile", "storage_pool", "volume", "image", "container",
/// "device", "policy".
[[nodiscard]] std::string_view to_string(SchemaKind kind);
/// A kind's name without case, `-` and `_`: "storagepool".
[[nodiscard]] std::string plain_kind(std::string_view text);
/// How people write a kind on top of a document: case, `-` and `_` don't matter, an instance is a container.
[[nodiscard]] std::optional<SchemaKind> schema_kind_from(std::string_view text);

enum class Support {
    yes,
    never,    ///< known, but asking for it is an error: the note says why
    notice,   ///< accepted, but nothing comes of it: a note
    ignored,  ///< printed by `lxc … show`; accepted without a word
};

/// One key, or a family of keys such as environment.NAME.
struct KeyInfo {
    std::string name;  ///< a family has NAME where anything may stand
    std::string type;  ///< x-type: bool, size, cidr4, …; see value_check.h. Empty for maps and lists
    std::string doc;   ///< one line
    std::string note;  ///< what to say beside "not supported" or in the notice
    std::optional<std::string> default_value;  ///< absent: none, or as `doc` says
    std::optional<Effect> effect;              ///< what changing it costs; absent where it changes nothing
    Support support = Support::yes;
    std::vector<std::string> inert;         ///< values that ask for nothing
    std::vector<std::string> values;        ///< of an enumeration
    std::vector<std::string> values_never;  ///< those of them that are not supported
    std::vector<std::string> only;          ///< nictypes or kinds that have it; empty: all

    [[nodiscard]] bool is_family() const;
    /// Asking for it is an error.
    [[nodiscard]] bool is_refused() const { return support == Support::never; }
    /// So is asking for that value.
    [[nodiscard]] bool refuses(std::string_view value) const;
};

/// The keys that may stand in one map.
class KeyTable {
public:
    explicit KeyTable(std::vector<KeyInfo> keys);

    /// The key or the family it belongs to, or null.
    [[nodiscard]] const KeyInfo* find(std::string_view key) const;
    /// In the order of the schema, families last.
    [[nodiscard]] const std::vector<KeyInfo>& keys() const { return keys_; }
    /// The key that was probably meant, or "".
    [[nodiscard]] std::string_view suggestion(std::string_view key) const;

private:
    std::vector<KeyInfo> keys_;
    std::map<std::string, std::size_t, std::less<>> exact_;
    std::vector<std::size_t> families_;
};

/// The fields of a resource: name, config, … For a device: type and override.
[[nodiscard]] const KeyTable& fields_of(SchemaKind kind);
/// The fields of an image's source and of a container's lifecycle.
[[nodiscard]] const KeyTable& image_source_fields();
[[nodiscard]] const KeyTable& lifecycle_fields();
/// The fields of a network ACL's rule and of a network forward's port.
[[nodiscard]] const KeyTable& acl_rule_fields();
[[nodiscard]] const KeyTable& forward_port_fields();

/// The keys under `config:` of a resource, or those of a device beside its type. `subtype` is a network's type, a storage
/// pool's driver or a device's type, and "" for the others. Null when there is no such subtype or no config.
[[nodiscard]] const KeyTable* config_of(SchemaKind kind, std::string_view subtype);

/// Subtypes of a kind that has them, sorted: "bridge", "macvlan", …
[[nodiscard]] std::vector<std::string_view> subtypes_of(SchemaKind kind);

/// One key by its coordinates, or null: find_key(SchemaKind::network, "bridge", "ipv4.address").
[[nodiscard]] const KeyInfo* find_key(SchemaKind kind, std::string_view subtype, std::string_view key);

}  // namespace ctl::model
