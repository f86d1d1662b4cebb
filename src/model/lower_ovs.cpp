#include <algorithm>

#include <fmt/format.h>

#include "base/text.h"
#include "model/fan.h"
#include "model/lowering.h"
#include "model/open_vswitch.h"
#include "model/tunnels.h"
#include "model/value_types.h"

namespace ctl::model {

namespace {

/// One network of Open vSwitch while it becomes a bridge or a fake one, with its link and its ports.
class OvsNetworkLowering {
public:
    OvsNetworkLowering(Lowering& lowering, const resource::Network& network, const ResourceRef& owner)
        : lowering_(lowering), network_(network), owner_(owner), name_(network.name.text) {}

    void lower() {
        std::map<std::string, SourceSpan> places;
        Link link = network_link(lowering_, network_, places);
        // These two the switch sets by itself, from what its database says.
        link.mtu.reset();
        const auto mac = bridge_mac(lowering_, network_, *link.addresses);
        const ObjectId maker = fake_bridge_parent(network_) != nullptr ? add_fake_bridge(mac) : add_bridge(mac);
        Entry& entry = lowering_.add({ObjectKind::link, name_}, link, owner_, network_.name.where);
        // The switch makes it; what is ours in it is its addresses.
        entry.borrowed = true;
        entry.needs = {{maker, Bond::reapply}};
        entry.places = std::move(places);
        lower_routing(lowering_, network_, owner_, maker);
        lower_external_interfaces();
        for (const Tunnel& tunnel : tunnels_of(network_)) lower_tunnel(tunnel);
        if (is_fan_network(network_)) lower_fan();
    }

private:
    [[nodiscard]] const Value* key(std::string_view name) const { return find_value(network_.config, name); }

    void set_places(Entry& entry, std::initializer_list<std::pair<const char*, const char*>> fields) const {
        for (const auto& [field, from] : fields)
            if (const Value* value = key(from)) entry.places[field] = value->where;
    }

    ObjectId add_bridge(const std::optional<std::string>& mac) {
        OvsBridge bridge;
        bridge.datapath = ovs_datapath(lowering_, name_);
        bridge.mac = mac;
        bridge.mtu = bridge_mtu(network_);
        if (const Value* controllers = key("openvswitch.controllers")) {
            bridge.controllers.emplace();
            for (const auto target : parse_list(controllers->text)) bridge.controllers->emplace_back(target);
            std::sort(bridge.controllers->begin(), bridge.controllers->end());
        }
        if (const Value* mode = key("openvswitch.fail_mode")) bridge.fail_mode = mode->text;
        const ObjectId id{ObjectKind::ovs_bridge, name_};
        Entry& entry = lowering_.add(id, bridge, owner_, network_.name.where);
        set_places(entry, {{"datapath", "openvswitch.datapath"},
                           {"mac", "bridge.hwaddr"},
                           {"mtu", "bridge.mtu"},
                           {"controllers", "openvswitch.controllers"},
                           {"fail_mode", "openvswitch.fail_mode"}});
        return id;
    }

    ObjectId add_fake_bridge(const std::optional<std::string>& mac) {
        const Value& parent = *fake_bridge_parent(network_);
        OvsPort port;
        port.bridge = parent.text;
        port.type = "internal";
        port.fake_bridge = true;
        port.plugged = true;
        if (const Value* vlan = key("vlan")) port.tag = parse_uint(vlan->text, 4094);
        port.mac = mac;
        port.mtu = bridge_mtu(network_);
        const ObjectId id{ObjectKind::ovs_port, name_};
        Entry& entry = lowering_.add(id, port, owner_, network_.name.where);
        entry.needs = {{{ObjectKind::ovs_bridge, parent.text}, Bond::rebuild}};
        set_places(entry, {{"bridge", "parent"}, {"tag", "vlan"}, {"mac", "bridge.hwaddr"}, {"mtu", "bridge.mtu"}});
        return id;
    }

    Entry& add_port(const std::string& interface, OvsPort port, const SourceSpan& where) {
        Entry& entry = lowering_.add({ObjectKind::ovs_port, interface}, std::move(port), owner_, where);
        entry.needs = {{{ObjectKind::ovs_bridge, name_}, Bond::rebuild}};
        entry.places["bridge"] = where;
        return entry;
    }

    static OvsPort system_port(const std::string& bridge) {
        OvsPort port;
        port.bridge = bridge;
        port.type = "system";
        port.plugged = true;
        return port;
    }

    void lower_external_interfaces() {
        const Value* value = key("bridge.external_interfaces");
        if (value == nullptr) return;
        for (const auto interface : parse_list(value->text)) {
            const ObjectId id{ObjectKind::link, std::string(interface)};
            Link link;
            link.up = true;
            lowering_.add(id, link, owner_, value->where).borrowed = true;
            add_port(id.name, system_port(name_), value->where).needs.push_back({id, Bond::order});
        }
    }

    void lower_fan() {
        if (const auto fan = fan_of(network_)) {
            add_port(fan_port(network_), fan_tunnel(*fan, name_), network_.name.where);
            return;
        }
        lowering_.asks_for_addresses = true;
        const Value* underlay = key("fan.underlay_subnet");
        const bool is_auto = underlay == nullptr || underlay->text == "auto";
        lowering_.diagnostics.error(
            "fan-without-host",
            is_auto ? fmt::format("the fan {} needs an IPv4 address on the host's way out, and there is none", quoted(name_))
                    : fmt::format("the fan {} needs an address of this host in {}, and there is none", quoted(name_),
                                  escaped(underlay->text)),
            underlay != nullptr ? underlay->where : network_.name.where,
            "give the host one, declare the network that has it, or name another fan.underlay_subnet");
    }

    void lower_tunnel(const Tunnel& tunnel) {
        if (!tunnel.is_multicast()) {
            add_port(tunnel.interface, tunnel_port(tunnel, name_), tunnel.where);
            return;
        }
        // The switch itself has no multicast: the kernel's tunnel becomes a port of it.
        const ObjectId id{ObjectKind::link, tunnel.interface};
        Link link = tunnel_link(tunnel);
        const auto parent = link.parent;
        Entry& entry = lowering_.add(id, std::move(link), owner_, tunnel.where);
        if (parent) entry.needs = {{{ObjectKind::link, *parent}, Bond::rebuild}};
        add_port(id.name, system_port(name_), tunnel.where).needs.push_back({id, Bond::rebuild});
    }

    Lowering& lowering_;
    const resource::Network& network_;
    const ResourceRef& owner_;
    const std::string& name_;
};

}  // namespace

std::string ovs_datapath(Lowering& lowering, const std::string& bridge) {
    const auto network = lowering.networks.find(bridge);
    const Value* declared =
        network != lowering.networks.end() ? find_value(network->second->config, "openvswitch.datapath") : nullptr;
    if (declared != nullptr) return declared->text;
    return lowering.allocator.kept("datapath/" + bridge, lowering.layout.has_ovs_datapath ? "system" : "netdev");
}

void lower_ovs_network(Lowering& lowering, const resource::Network& network, const ResourceRef& owner) {
    OvsNetworkLowering(lowering, network, owner).lower();
}

ObjectId lower_ovs_nic(Lowering& lowering, const resource::Network& network, const resource::Device& device,
                       const ObjectId& host_end, const ResourceRef& owner) {
    OvsPort port;
    port.type = "system";
    port.plugged = true;
    port.bridge = network.name.text;
    PortVlans vlans = port_vlans(device);
    port.tag = vlans.tag;
    if (!vlans.trunks.empty()) port.trunks = std::move(vlans.trunks);
    port.vlan_mode = std::move(vlans.mode);
    if (bool_value(device.keys, "security.port_isolation", false)) port.isolated = true;
    std::vector<Need> needs{{host_end, Bond::rebuild}};
    if (const Value* parent = fake_bridge_parent(network)) {
        // Ports of a fake bridge are ports of the real one with its VLAN.
        port.bridge = parent->text;
        if (const Value* vlan = find_value(network.config, "vlan")) port.tag = parse_uint(vlan->text, 4094);
        needs.push_back({{ObjectKind::ovs_port, network.name.text}, Bond::order});
    }
    needs.push_back({{ObjectKind::ovs_bridge, *port.bridge}, Bond::rebuild});
    ObjectId id{ObjectKind::ovs_port, host_end.name};
    Entry& entry = lowering.add(id, std::move(port), owner, device.where);
    entry.needs = std::move(needs);
    for (const auto& [field, key] : {std::pair{"bridge", "parent"},
                                     {"tag", "vlan"},
                                     {"trunks", "vlan.tagged"},
                                     {"isolated", "security.port_isolation"}})
        if (const Value* value = find_value(device.keys, key)) entry.places[field] = value->where;
    return id;
}

}  // namespace ctl::model
