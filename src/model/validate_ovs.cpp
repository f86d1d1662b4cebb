#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "base/text.h"
#include "model/nic_types.h"
#include "model/open_vswitch.h"
#include "model/tunnels.h"
#include "model/validation.h"
#include "model/value_types.h"

namespace ctl::model {

namespace {

using resource::Device;
using resource::Network;

constexpr std::array ovs_keys{"openvswitch.controllers", "openvswitch.fail_mode", "openvswitch.datapath", "parent", "vlan"};

/// METHOD:REST as ovs-vswitchd takes it.
bool is_controller(std::string_view target) {
    constexpr std::array<std::string_view, 6> methods{"tcp", "ssl", "unix", "ptcp", "pssl", "punix"};
    const std::size_t colon = target.find(':');
    if (colon == std::string_view::npos || colon + 1 == target.size()) return target == "ptcp" || target == "pssl";
    const bool is_plain =
        std::all_of(target.begin(), target.end(), [](char c) { return c > ' ' && c < 0x7F && c != ',' && c != '"'; });
    return is_plain && std::find(methods.begin(), methods.end(), target.substr(0, colon)) != methods.end();
}

class OvsChecks {
public:
    OvsChecks(Validation& validation, const Network& network)
        : validation_(validation), network_(network), name_(quoted(network.name.text)) {}

    void run() {
        if (network_.type.text == "macvlan") return;
        if (!is_ovs_network(network_))
            return refuse_keys(ovs_keys, "is for bridges of Open vSwitch", "add bridge.driver: openvswitch, or remove it");
        check_controllers();
        const Value* parent = key("parent");
        const Value* vlan = key("vlan");
        if (vlan != nullptr && !parse_uint(vlan->text, 4094))
            validation_.value_error("bad-vlan", fmt::format("{} is no VLAN", quoted(vlan->text)), vlan->where,
                                    "write a number from 0 to 4094");
        if (parent == nullptr && vlan == nullptr) return;
        if (parent == nullptr || vlan == nullptr) {
            const Value& there = parent != nullptr ? *parent : *vlan;
            validation_.error("fake-bridge",
                              fmt::format("network {} has {} but no {}", name_, parent != nullptr ? "parent" : "vlan",
                                          parent != nullptr ? "vlan" : "parent"),
                              there.where, "a VLAN of another bridge needs both: parent: BRIDGE and vlan: NUMBER");
            return;
        }
        check_fake_bridge(*parent);
    }

private:
    [[nodiscard]] const Value* key(std::string_view name) const { return find_value(network_.config, name); }

    template <typename Keys>
    void refuse_keys(const Keys& keys, std::string_view why, const std::string& hint) {
        for (const std::string_view name : keys)
            if (const Value* value = key(name))
                validation_.error("ovs-key", fmt::format("{} of network {} {}", name, name_, why), value->where, hint);
    }

    void check_controllers() {
        const Value* controllers = key("openvswitch.controllers");
        if (controllers == nullptr) return;
        for (const auto target : parse_list(controllers->text))
            if (!is_controller(target))
                validation_.error("bad-controller", fmt::format("{} is no OpenFlow controller", quoted(target)),
                                  controllers->where, "write for instance tcp:10.0.0.5:6653");
    }

    void check_fake_bridge(const Value& parent) {
        constexpr std::array parents{"bridge.external_interfaces", "openvswitch.controllers", "openvswitch.fail_mode",
                                     "openvswitch.datapath"};
        refuse_keys(parents, "belongs to its parent", fmt::format("set it in network {}", escaped(parent.text)));
        for (const Tunnel& tunnel : tunnels_of(network_))
            validation_.error("ovs-key",
                              fmt::format("tunnel {} of network {} belongs to its parent", quoted(tunnel.name), name_),
                              tunnel.where, fmt::format("set it in network {}", escaped(parent.text)));
        const Network* declared = validation_.network(parent.text);
        if (declared == nullptr) return;
        if (!is_ovs_network(*declared))
            validation_.error(
                "fake-bridge",
                fmt::format("the parent {} of network {} is no bridge of Open vSwitch", quoted(parent.text), name_),
                parent.where, fmt::format("add bridge.driver: openvswitch to network {}", escaped(parent.text)));
        else if (find_value(declared->config, "parent") != nullptr)
            validation_.error(
                "fake-bridge",
                fmt::format("the parent {} of network {} is a VLAN of another bridge itself", quoted(parent.text), name_),
                parent.where, "name the bridge that both are VLANs of");
    }

    Validation& validation_;
    const Network& network_;
    const std::string name_;
};

/// Two fake bridges for one VLAN of one bridge: the switch's own tools know only one.
void check_fake_bridges_twice(Validation& validation) {
    std::map<std::pair<std::string, std::string>, const Network*> seen;
    for (const auto& network : validation.stack.networks) {
        const Value* parent = fake_bridge_parent(network);
        const Value* vlan = find_value(network.config, "vlan");
        if (parent == nullptr || vlan == nullptr) continue;
        const auto [first, is_new] = seen.emplace(std::pair(parent->text, vlan->text), &network);
        if (is_new) continue;
        validation.error("fake-bridge",
                         fmt::format("VLAN {} of {} is network {} already, at {}", vlan->text, quoted(parent->text),
                                     quoted(first->second->name.text), first->second->name.where.str()),
                         vlan->where, "use that network, or another VLAN");
    }
}

}  // namespace

void validate_open_vswitch(Validation& validation) {
    for (const auto& network : validation.stack.networks) OvsChecks(validation, network).run();
    check_fake_bridges_twice(validation);
}

void validate_nic_vlans(Validation& validation, const std::string& device_name, const Device& device) {
    const Value* untagged = find_value(device.keys, "vlan");
    const Value* tagged = find_value(device.keys, "vlan.tagged");
    if ((untagged == nullptr && tagged == nullptr) || stands_on_interface(device)) return;
    const Value& first = untagged != nullptr ? *untagged : *tagged;
    const auto vlans = tagged != nullptr ? parse_vlans(tagged->text) : std::nullopt;
    if (tagged != nullptr && !vlans)
        return validation.value_error("bad-vlan", fmt::format("{} is no list of VLANs", quoted(tagged->text)), tagged->where,
                                      "write for instance 10,20-30; each from 0 to 4094 and once");
    for (const auto family : {"ipv4", "ipv6"}) {
        const Value* filter = find_value(device.keys, fmt::format("security.{}_filtering", family));
        if (filter != nullptr && parse_bool(filter->text).value_or(false))
            validation.error("vlan-and-filtering",
                             fmt::format("device {} has VLANs and security.{}_filtering", quoted(device_name), family),
                             first.where, "remove one of them; packets in a VLAN can't be filtered by address");
    }
    const Value* parent = nic_parent(device);
    const Network* network = parent != nullptr ? validation.network(parent->text) : nullptr;
    if (network == nullptr || !is_ovs_network(*network))
        return validation.error("unsupported",
                                fmt::format("{} of device {} is not supported yet: {}",
                                            untagged != nullptr ? "vlan" : "vlan.tagged", quoted(device_name),
                                            network == nullptr ? "its parent is not declared as a bridge of Open vSwitch"
                                                               : "its network is no bridge of Open vSwitch"),
                                first.where, "declare its parent as a network with bridge.driver: openvswitch");
    if (fake_bridge_parent(*network) != nullptr)
        return validation.error(
            "vlan-on-fake-bridge",
            fmt::format("device {} can't have VLANs of its own: its network {} is VLAN {}", quoted(device_name),
                        quoted(network->name.text),
                        find_value(network->config, "vlan") != nullptr ? escaped(find_value(network->config, "vlan")->text)
                                                                       : std::string("?")),
            first.where, fmt::format("use {} as its network", escaped(fake_bridge_parent(*network)->text)));
    if (untagged != nullptr && untagged->text == "none" && tagged == nullptr)
        validation.error("vlan-none", fmt::format("device {} has vlan: none but no vlan.tagged", quoted(device_name)),
                         untagged->where, "add vlan.tagged, or remove vlan");
    const auto tag = untagged != nullptr ? parse_uint(untagged->text, 4094) : std::nullopt;
    if (tag && vlans && std::find(vlans->begin(), vlans->end(), *tag) != vlans->end())
        validation.error("vlan-twice",
                         fmt::format("vlan.tagged of device {} has its vlan {} too", quoted(device_name), *tag),
                         tagged->where, "a VLAN passes tagged or untagged, not both");
}

}  // namespace ctl::model
