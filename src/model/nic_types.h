#pragma once

#include <string_view>
#include <vector>

#include "model/resource.h"

// What a NIC's nictype says of it; read alike by validation and lowering.

namespace ctl::model {

/// The host routes to each of its addresses by itself; nobody is beside it on a segment. Such a NIC may have several
/// addresses of a family, and its gateway is not for choosing.
[[nodiscard]] bool is_routed(const resource::Device& nic);

/// It is an interface of the host.
[[nodiscard]] bool is_physical(const resource::Device& nic);
/// It stands on an interface of the host, or is one.
[[nodiscard]] bool stands_on_interface(const resource::Device& nic);

/// What it says of its addresses of a family: one, or a list where it may have several.
[[nodiscard]] std::vector<std::string_view> address_texts(const resource::Device& nic, std::string_view text);

}  // namespace ctl::model
