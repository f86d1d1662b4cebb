#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "model/flow_text.h"
#include "model/lower.h"
#include "model/object.h"
#include "model/resource.h"

// A fan: an overlay in which each host owns the subnet that its address in the underlay names. 172.21.3.15 in 172.21.0.0/16
// owns 10.3.15.0/24 of 10.0.0.0/8: where a packet of the overlay goes, its address says, and no host has to know the others.

namespace ctl::model {

/// What a frame's size has to stay below, for VXLAN's header.
inline constexpr std::int64_t fan_mtu = 1450;

struct Fan {
    Cidr overlay;  ///< as a subnet, like the next
    Cidr underlay;
    IpAddress host;  ///< ours in the underlay

    /// How long a prefix each host's part of the overlay has.
    [[nodiscard]] unsigned part_prefix() const { return overlay.prefix + 32 - underlay.prefix; }
    /// The part of the overlay that an address of the underlay owns.
    [[nodiscard]] Cidr part_of(const IpAddress& in_underlay) const;
    /// The address in the underlay that owns one of the overlay.
    [[nodiscard]] IpAddress owner_of(const IpAddress& in_overlay) const;
};

[[nodiscard]] bool is_fan_network(const resource::Network& network);
/// The overlay of a fan, as declared or by default.
[[nodiscard]] std::optional<Cidr> overlay_of(const resource::Network& network);
/// Whether a host's part of the overlay has room for containers: at least two addresses beside its own.
[[nodiscard]] bool fits(const Cidr& overlay, const Cidr& underlay);

/// Fills in what a fan's keys leave out and what follows from the host's address: bridge address, DHCP range, translation,
/// MTU. The underlay's address is one that `stack` declares, else one of the host's; without it there is none.
void fill_fan(resource::Network& network, const resource::Stack& stack, const HostLayout& layout);
/// The fan of a network that fill_fan has filled in; nothing for other networks and where the host's address is unknown.
[[nodiscard]] std::optional<Fan> fan_of(const resource::Network& network);

/// The port through which packets go to other hosts.
[[nodiscard]] std::string fan_port(const resource::Network& network);
[[nodiscard]] OvsPort fan_tunnel(const Fan& fan, const std::string& bridge);

/// The action that hands a packet to the fan's flows.
inline constexpr std::string_view fan_onward = "resubmit(,10)";
void add_fan_flows(const Fan& fan, const std::string& tunnel, flow::Flows& flows);

}  // namespace ctl::model
