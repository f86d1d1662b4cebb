#include "model/open_vswitch.h"

#include <set>

#include "base/text.h"
#include "model/fan.h"
#include "model/value_types.h"

namespace ctl::model {

namespace {

constexpr std::int64_t last_vlan = 4094;

const Value* filled(const Config& config, std::string_view key) {
    const auto it = config.find(key);
    return it == config.end() || it->second.value.empty() ? nullptr : &it->second.value;
}

}  // namespace

bool is_ovs_network(const resource::Network& network) {
    if (network.type.text == "macvlan") return false;
    const Value* driver = filled(network.config, "bridge.driver");
    // Only its flows can make a fan.
    if (driver == nullptr) return is_fan_network(network);
    return driver->text == "openvswitch";
}

const Value* fake_bridge_parent(const resource::Network& network) {
    return is_ovs_network(network) ? filled(network.config, "parent") : nullptr;
}

std::optional<std::vector<std::int64_t>> parse_vlans(std::string_view text) {
    std::set<std::int64_t> vlans;
    for (const std::string_view member : parse_list(text)) {
        const std::size_t dash = member.find('-');
        const auto first = parse_uint(trimmed(member.substr(0, dash)), last_vlan);
        const auto last = dash == std::string_view::npos ? first : parse_uint(trimmed(member.substr(dash + 1)), last_vlan);
        if (!first || !last || *last < *first) return std::nullopt;
        for (std::int64_t vlan = *first; vlan <= *last; ++vlan)
            if (!vlans.insert(vlan).second) return std::nullopt;
    }
    if (vlans.empty()) return std::nullopt;
    return std::vector<std::int64_t>(vlans.begin(), vlans.end());
}

PortVlans port_vlans(const resource::Device& device) {
    PortVlans vlans;
    const Value* untagged = filled(device.keys, "vlan");
    const Value* tagged = filled(device.keys, "vlan.tagged");
    if (untagged != nullptr && untagged->text != "none") {
        vlans.tag = parse_uint(untagged->text, last_vlan);
        vlans.mode = "access";
    }
    if (tagged != nullptr) {
        for (const std::int64_t vlan : parse_vlans(tagged->text).value_or(std::vector<std::int64_t>{}))
            vlans.trunks.push_back(std::to_string(vlan));
        vlans.mode = untagged != nullptr && untagged->text == "none" ? "trunk" : "native-untagged";
    }
    return vlans;
}

}  // namespace ctl::model
