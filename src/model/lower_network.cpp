#include <fmt/format.h>

#include "base/text.h"
#include "model/lowering.h"
#include "model/nic_types.h"
#include "model/open_vswitch.h"
#include "model/tunnels.h"
#include "model/value_types.h"

namespace ctl::model {

namespace {

/// Everything a static address may not overlap when an `auto` one is chosen.
std::set<Cidr> declared_subnets(const Lowering& lowering) {
    std::set<Cidr> subnets;
    for (const auto& [name, network] : lowering.networks) {
        for (const std::string_view key : {"ipv4.address", "ipv6.address"}) {
            const Value* value = find_value(network->config, key);
            if (const auto cidr = value != nullptr ? Cidr::parse(value->text) : std::nullopt) subnets.insert(*cidr);
        }
    }
    for (const auto& [name, addresses] : lowering.network_addresses) subnets.insert(addresses.begin(), addresses.end());
    subnets.insert(lowering.layout.subnets.begin(), lowering.layout.subnets.end());
    return subnets;
}

void set_default(Config& config, const std::string& key, const char* text, const SourceSpan& where) {
    if (find_value(config, key) == nullptr) config[key] = {{text, where}, where};
}

std::set<Cidr> own_addresses(Lowering& lowering, const resource::Network& network) {
    std::set<Cidr> addresses;
    const auto add = [&](std::string_view key, auto choose) {
        const Value* value = find_value(network.config, key);
        if (value == nullptr || value->text == "none") return;
        if (value->text == "auto") addresses.insert(choose());
        else if (const auto cidr = Cidr::parse(value->text)) addresses.insert(*cidr);
    };
    const std::string& name = network.name.text;
    add("ipv4.address", [&] { return lowering.allocator.subnet4("subnet4/" + name, declared_subnets(lowering)); });
    add("ipv6.address", [&] { return lowering.allocator.subnet6("subnet6/" + name, declared_subnets(lowering)); });
    return addresses;
}

}  // namespace

std::optional<Cidr> own_address(const Lowering& lowering, std::string_view network, IpAddress::Family family) {
    const auto addresses = lowering.network_addresses.find(network);
    if (addresses == lowering.network_addresses.end()) return std::nullopt;
    for (const auto& cidr : addresses->second)
        if (cidr.address.family == family) return cidr;
    return std::nullopt;
}

Link network_link(Lowering& lowering, const resource::Network& network, std::map<std::string, SourceSpan>& places) {
    Link link;
    link.up = true;
    const auto& addresses = lowering.network_addresses[network.name.text] = own_addresses(lowering, network);
    link.addresses = addresses;
    // IPv6 on a bridge without an IPv6 address only floods every port with the kernel's own multicast.
    link.ipv6 = has_family(addresses, IpAddress::Family::v6);
    for (const std::string_view key : {"ipv4.address", "ipv6.address"})
        if (const Value* value = find_value(network.config, key)) places["addresses"] = value->where;
    const bool is_macvlan = network.type.text == "macvlan";
    const Value* mtu = find_value(network.config, is_macvlan ? "mtu" : "bridge.mtu");
    if (mtu != nullptr) places["mtu"] = mtu->where;
    if (!is_macvlan) link.mtu = bridge_mtu(network);
    else if (mtu != nullptr) link.mtu = parse_mtu(mtu->text);
    return link;
}

std::optional<std::string> bridge_mac(Lowering& lowering, const resource::Network& network,
                                      const std::set<Cidr>& addresses) {
    if (const Value* mac = find_value(network.config, "bridge.hwaddr")) return parse_mac(mac->text);
    if (addresses.empty()) return std::nullopt;
    return lowering.allocator.mac("network-mac/" + network.name.text);
}

void lower_routing(Lowering& lowering, const resource::Network& network, const ResourceRef& owner, const ObjectId& maker) {
    const std::string& name = network.name.text;
    for (const auto& [family, key] : {std::pair{IpAddress::Family::v4, "ipv4"}, std::pair{IpAddress::Family::v6, "ipv6"}}) {
        if (!has_family(lowering.network_addresses[name], family)) continue;
        const Value* said = find_value(network.config, fmt::format("{}.routing", key));
        const bool routes = said == nullptr || parse_bool(said->text).value_or(true);
        // Of IPv6 the kernel routes on all interfaces or none, so there the firewall keeps one out; and an interface that is
        // told not to forward would listen to what containers announce.
        if (!routes && family == IpAddress::Family::v6) continue;
        Entry& entry = lowering.add({ObjectKind::sysctl, interface_sysctl(key, name, "forwarding")},
                                    Sysctl{.value = routes ? "1" : "0"}, owner, network.name.where);
        if (said != nullptr) entry.places["value"] = said->where;
        entry.borrowed = true;
        entry.needs = {{{ObjectKind::link, name}, Bond::reapply}, {maker, Bond::reapply}};
    }
}

namespace {

void lower_network_routes(Lowering& lowering, const resource::Network& network, const ResourceRef& owner) {
    const ObjectId link{ObjectKind::link, network.name.text};
    for (const std::string_view key : {"ipv4.routes", "ipv6.routes"}) {
        const Value* value = find_value(network.config, key);
        if (value == nullptr) continue;
        for (const auto text : parse_list(value->text)) {
            const auto destination = Cidr::parse(text);
            if (!destination) continue;
            Entry& entry = lowering.add(host_route(destination->network()), Route{.via = std::nullopt, .dev = link.name},
                                        owner, network.name.where);
            entry.needs = {{link, Bond::rebuild}};
            entry.places["dev"] = value->where;
        }
    }
}

void lower_external_interfaces(Lowering& lowering, const resource::Network& network, const ResourceRef& owner) {
    const Value* value = find_value(network.config, "bridge.external_interfaces");
    if (value == nullptr) return;
    for (const auto& interface : parse_list(value->text)) {
        Link port;
        port.master = network.name.text;
        port.up = true;
        Entry& entry = lowering.add({ObjectKind::link, std::string(interface)}, port, owner, value->where);
        entry.borrowed = true;
        entry.needs = {{{ObjectKind::link, network.name.text}, Bond::reapply}};
        entry.places["master"] = value->where;
    }
}

void lower_tunnels(Lowering& lowering, const resource::Network& network, const ResourceRef& owner) {
    for (const Tunnel& tunnel : tunnels_of(network)) {
        Link link = tunnel_link(tunnel);
        link.master = network.name.text;
        const auto parent = link.parent;
        Entry& entry = lowering.add({ObjectKind::link, tunnel.interface}, std::move(link), owner, tunnel.where);
        entry.needs = {{{ObjectKind::link, network.name.text}, Bond::reapply}};
        if (parent) entry.needs.push_back({{ObjectKind::link, *parent}, Bond::rebuild});
    }
}

void lower_bridge(Lowering& lowering, const resource::Network& network, const ResourceRef& owner) {
    const std::string& name = network.name.text;
    std::map<std::string, SourceSpan> places;
    Link link = network_link(lowering, network, places);
    link.type = LinkType::bridge;
    link.mac = bridge_mac(lowering, network, *link.addresses);
    if (const Value* mac = find_value(network.config, "bridge.hwaddr")) places["mac"] = mac->where;
    Entry& entry = lowering.add({ObjectKind::link, name}, link, owner, network.name.where);
    entry.places = std::move(places);
    lower_routing(lowering, network, owner, {ObjectKind::link, name});
    lower_external_interfaces(lowering, network, owner);
    lower_tunnels(lowering, network, owner);
}

void lower_macvlan(Lowering& lowering, const resource::Network& network, const ResourceRef& owner) {
    std::map<std::string, SourceSpan> places;
    Link link = network_link(lowering, network, places);
    link.type = LinkType::macvlan;
    const Value* parent = find_value(network.config, "parent");
    if (parent != nullptr) {
        lower_vlan(lowering, network.config, parent->text, owner, network.name.where);
        link.parent = vlan_ground(network.config, parent->text);
        places["parent"] = parent->where;
    }
    const Value* mode = find_value(network.config, "mode");
    link.mode = mode != nullptr ? mode->text : "bridge";
    if (mode != nullptr) places["mode"] = mode->where;
    link.mac = lowering.allocator.mac("network-mac/" + network.name.text);
    Entry& entry = lowering.add({ObjectKind::link, network.name.text}, link, owner, network.name.where);
    entry.places = std::move(places);
    if (link.parent) entry.needs = {{{ObjectKind::link, *link.parent}, Bond::rebuild}};
}

}  // namespace

void fill_defaults(resource::Network& network, const HostLayout& layout) {
    Config& config = network.config;
    const Value* mode = find_value(config, "bridge.mode");
    if (network.type.text == "macvlan" || (mode != nullptr && mode->text != "standard")) return;
    // On a LAN of others nobody gets an address, and a DHCP server with it, without having asked for it.
    const bool is_on_lan =
        find_value(config, "bridge.external_interfaces") != nullptr || find_value(config, "parent") != nullptr;
    // Who names an address of one family means that one.
    const bool is_said = find_value(config, "ipv4.address") != nullptr || find_value(config, "ipv6.address") != nullptr;
    if (!is_on_lan && !is_said) {
        set_default(config, "ipv4.address", "auto", network.name.where);
        if (layout.has_ipv6) set_default(config, "ipv6.address", "auto", network.name.where);
    }
    for (const std::string family : {"ipv4", "ipv6"}) {
        const Value* address = find_value(config, family + ".address");
        if (address != nullptr && address->text == "auto") set_default(config, family + ".nat", "true", network.name.where);
    }
}

void lower_network(Lowering& lowering, const resource::Network& network) {
    const ResourceRef owner{lowering.stack.name, "Network", network.name.text};
    if (network.type.text == "macvlan") return lower_macvlan(lowering, network, owner);
    if (is_ovs_network(network)) lower_ovs_network(lowering, network, owner);
    else lower_bridge(lowering, network, owner);
    lower_network_routes(lowering, network, owner);
}

namespace {

void follow_leases(Lowering& lowering, const resource::Network& network) {
    const auto attached = lowering.attachments.find(network.name.text);
    if (attached == lowering.attachments.end()) return;
    for (const auto& nic : attached->second) {
        // One with an address of its own is in the network's subnet, or was meant not to be reached.
        if (!nic.addresses.empty()) continue;
        const std::string& container = nic.container->name.text;
        lowering.followed.push_back({ScopedName{container, nic.interface}.str(),
                                     network.name.text,
                                     {lowering.stack.name, "Container", container},
                                     nic.device->where,
                                     Lifecycle{.prune = nic.container->lifecycle.prune}});
    }
}

}  // namespace

void lower_network_services(Lowering& lowering, const resource::Network& network) {
    if (network.type.text == "macvlan") follow_leases(lowering, network);
    lower_dns(lowering, network);
    lower_firewall(lowering, network);
    lower_ovs_flows(lowering, network);
}

}  // namespace ctl::model
