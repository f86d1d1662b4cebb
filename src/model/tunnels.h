#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "model/object.h"
#include "model/resource.h"

// tunnel.NAME.* of a bridge network; shared by validation and by the lowering of native and Open vSwitch bridges.

namespace ctl::model {

/// What a frame's size has to stay below on a network with tunnels, unless bridge.mtu says otherwise.
inline constexpr std::int64_t tunnel_mtu = 1400;
/// The kernel's own choice where tunnel.NAME.port is 0 or absent, so that native and Open vSwitch bridges meet.
inline constexpr std::int64_t default_vxlan_port = 8472;

/// One tunnel's keys. Pointers are null for keys that are absent.
struct Tunnel {
    std::string name;
    std::string interface;  ///< NETWORK-NAME
    SourceSpan where;       ///< of its first key
    const Value* protocol = nullptr;
    const Value* local = nullptr;
    const Value* remote = nullptr;
    const Value* group = nullptr;
    const Value* device = nullptr;  ///< tunnel.NAME.interface
    const Value* id = nullptr;
    const Value* port = nullptr;
    const Value* ttl = nullptr;

    /// A vxlan that finds its peers by a multicast group.
    [[nodiscard]] bool is_multicast() const;
};

/// By name.
[[nodiscard]] std::vector<Tunnel> tunnels_of(const resource::Network& network);

/// The MTU of a bridge network as its keys say it, or as its tunnels want it; nothing: the kernel's default.
[[nodiscard]] std::optional<std::int64_t> bridge_mtu(const resource::Network& network);

/// The kernel's interface for a tunnel, up, without master.
[[nodiscard]] Link tunnel_link(const Tunnel& tunnel);

/// A tunnel as a port of an Open vSwitch bridge; not for multicast, which the switch doesn't have.
[[nodiscard]] OvsPort tunnel_port(const Tunnel& tunnel, const std::string& bridge);

}  // namespace ctl::model
