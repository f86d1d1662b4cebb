#pragma once

#include <optional>
#include <string_view>
#include <variant>
#include <vector>

#include "model/container_objects.h"
#include "model/network_objects.h"

// Objects: the smallest things on a host that exactly one driver can read and change. Every field is optional: absent in
// the desired state means "not managed", absent in the observed state means "not there".

namespace ctl::model {

using Object = std::variant<Sysctl, Netns, Link, Route, Neighbour, OvsBridge, OvsPort, OvsFlows, NftTable, DnsService, Pool,
                            Image, Volume, Snapshot, Container, Proxy, Readiness>;

[[nodiscard]] ObjectKind kind_of(const Object& object);
/// An object of the kind with no field set.
[[nodiscard]] Object make_object(ObjectKind kind);

/// A row of a field table together with one object's value.
struct FieldView {
    std::string_view name;
    Effect effect;
    Merge merge;
    std::optional<FieldValue> value;
};

/// All fields of an object in the order of its table.
[[nodiscard]] std::vector<FieldView> fields_of(const Object& object);
/// Sets (or with nullopt clears) one field; false if there is no such field or the value does not fit.
[[nodiscard]] bool set_field(Object& object, std::string_view name, const std::optional<FieldValue>& value);

}  // namespace ctl::model
