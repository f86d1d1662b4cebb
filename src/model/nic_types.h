#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/ip.h"
#include "model/resource.h"

// What a NIC's nictype and mode say of it; read alike by validation and lowering.

namespace ctl::model {

/// limits.priority is 32 bits wide, as the kernel's skb->priority is.
inline constexpr std::int64_t max_packet_priority = 0xffffffff;

/// The host routes to each of its addresses by itself; nobody is beside it on a segment. Such a NIC may have several
/// addresses of a family, and its gateway is not for choosing: one of type routed, and an ipvlan but for mode l2.
[[nodiscard]] bool is_routed(const resource::Device& nic);
/// An ipvlan, which shares its parent's MAC.
[[nodiscard]] bool is_ipvlan(const resource::Device& nic);
/// It is an interface of the host.
[[nodiscard]] bool is_physical(const resource::Device& nic);
/// It stands on an interface of the host, and a vlan is an interface of its own there.
[[nodiscard]] bool stands_on_interface(const resource::Device& nic);

/// The interface of the host that a NIC or network with these keys stands on: the parent, or PARENT.VLAN.
[[nodiscard]] std::string vlan_ground(const Config& keys, std::string_view parent);

/// The prefix of an address that is written without one and that no declared subnet says.
[[nodiscard]] std::optional<unsigned> usual_prefix(const resource::Device& nic, const IpAddress& address);
/// What it says of its addresses of a family: one, or a list where it may have several.
[[nodiscard]] std::vector<std::string_view> address_texts(const resource::Device& nic, std::string_view text);

}  // namespace ctl::model
