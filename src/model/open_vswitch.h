#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/resource.h"

// What keys say about Open vSwitch; shared by validation and lowering.

namespace ctl::model {

/// A network whose bridge, or VLAN fake bridge, is one of Open vSwitch.
[[nodiscard]] bool is_ovs_network(const resource::Network& network);
/// The bridge that the network is a VLAN fake bridge of, or null: it is a bridge of its own.
[[nodiscard]] const Value* fake_bridge_parent(const resource::Network& network);

/// Comma list of VLANs and ranges of them, "10,20-30": ascending, each once; nothing when it isn't one.
[[nodiscard]] std::optional<std::vector<std::int64_t>> parse_vlans(std::string_view text);

/// How a port of the switch treats VLANs.
struct PortVlans {
    std::optional<std::int64_t> tag;
    std::vector<std::string> trunks;
    std::optional<std::string> mode;
};
/// What a NIC's vlan and vlan.tagged ask of its port.
[[nodiscard]] PortVlans port_vlans(const resource::Device& device);

}  // namespace ctl::model
