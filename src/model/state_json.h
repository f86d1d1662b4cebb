#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "model/host_state.h"

namespace ctl::model {

/// One object as a JSON object of its fields that are set: {"mtu":1500,"up":true}.
[[nodiscard]] std::string object_to_json(const Object& object);
/// The reverse; unknown fields and misfits are errors.
[[nodiscard]] Result<Object> object_from_json(ObjectKind kind, std::string_view json);

/// One field's value: true, 1500, "up", ["a","b"] or {"A":"1"}.
[[nodiscard]] std::string field_value_to_json(const FieldValue& value);

/// A whole state: {"format":"ctl.host/1","objects":[{"id":"link/br0","fields":{…},"needs":[…],"owner":{…},…}]}.
/// Places are not kept. `ctl observe` prints this, `ctl plan --host-state` reads it, the journal keeps entries of it.
[[nodiscard]] std::string state_to_json(const HostState& state, bool pretty = false);
[[nodiscard]] Result<HostState> state_from_json(std::string_view json);

/// One entry of it, without its id.
[[nodiscard]] std::string entry_to_json(const Entry& entry);
[[nodiscard]] Result<Entry> entry_from_json(ObjectKind kind, std::string_view json);

}  // namespace ctl::model
