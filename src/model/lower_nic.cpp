#include "model/lower_nic.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/text.h"
#include "model/nic_types.h"
#include "model/tunnels.h"
#include "model/value_types.h"

namespace ctl::model {

Nic::Nic(Lowering& lowering_state, const resource::Container& of, const std::string& name, const resource::Device& keys)
    : lowering(lowering_state),
      container(of),
      device_name(name),
      device(keys),
      owner{lowering.stack.name, "Container", container.name.text},
      interface(key("name") != nullptr ? key("name")->text : device_name),
      id{ObjectKind::link, container.name.text + ":" + interface},
      needs{{{ObjectKind::netns, container.name.text}, Bond::rebuild}} {}

const Value* Nic::key(std::string_view name) const { return find_value(device.keys, name); }

std::optional<Value> Nic::setting(std::string_view device_key, const std::string& old_key) const {
    if (const Value* value = key(device_key)) return *value;
    if (const auto it = old_settings.find(old_key); it != old_settings.end()) {
        const auto raw = container.config.find("raw.lxc");
        return Value{it->second, raw != container.config.end() ? raw->second.value.where : device.where};
    }
    return std::nullopt;
}

std::string Nic::parent() const {
    const Value* value = key("network");
    if (value == nullptr) value = key("parent");
    return value != nullptr ? value->text : std::string();
}

const resource::Network* Nic::network() const {
    const auto it = lowering.networks.find(parent());
    return it != lowering.networks.end() ? it->second : nullptr;
}

std::string Nic::type() const {
    if (const Value* said = key("nictype")) return said->text;
    return network() != nullptr && network()->type.text == "macvlan" ? "macvlan" : "bridged";
}

bool Nic::is_served(std::string_view family) const {
    return type() == "bridged" && network() != nullptr && serves_dhcp(lowering, parent(), family);
}

Entry& Nic::add(ObjectId other, Object object, std::vector<Need> its_needs) {
    Entry& entry = lowering.add(std::move(other), std::move(object), owner, device.where);
    entry.needs = std::move(its_needs);
    entry.lifecycle.prune = container.lifecycle.prune;
    return entry;
}

void Nic::switch_on(const std::string& sysctl, std::vector<Need> its_needs) {
    const ObjectId setting_id{ObjectKind::sysctl, sysctl};
    if (const auto known = lowering.desired.find(setting_id); known != lowering.desired.end()) {
        known->second.needs.insert(known->second.needs.end(), its_needs.begin(), its_needs.end());
        return;
    }
    add(setting_id, Sysctl{.value = "1"}, std::move(its_needs)).borrowed = true;
}

namespace {

std::optional<std::string> mac_of(Nic& nic, const std::string& type) {
    if (const auto value = nic.setting("hwaddr", "hwaddr")) {
        nic.places["mac"] = value->where;
        if (const auto parsed = parse_mac(value->text)) return *parsed;
    }
    // An ipvlan has its parent's, and a NIC of the host its own.
    if (type == "ipvlan" || (type == "physical" && nic.key("vlan") == nullptr)) return std::nullopt;
    return nic.lowering.allocator.mac(fmt::format("mac/{}/{}", nic.container.name.text, nic.device_name));
}

std::optional<std::int64_t> mtu_of(Nic& nic, const std::string& type) {
    std::optional<Value> value = nic.setting("mtu", "mtu");
    const resource::Network* network = type == "bridged" || type == "macvlan" ? nic.network() : nullptr;
    if (!value && network != nullptr) {
        const bool is_macvlan = network->type.text == "macvlan";
        const Value* inherited = find_value(network->config, is_macvlan ? "mtu" : "bridge.mtu");
        if (inherited != nullptr) value = *inherited;
        else if (!is_macvlan) return bridge_mtu(*network);
    }
    if (!value) return std::nullopt;
    nic.places["mtu"] = value->where;
    return parse_mtu(value->text);
}

/// An address without a prefix is in its network's subnet.
std::optional<Cidr> completed(Nic& nic, std::string_view text, const SourceSpan& where) {
    if (const auto cidr = Cidr::parse(text)) return cidr;
    const auto address = IpAddress::parse(text);
    if (!address) return std::nullopt;
    if (const auto prefix = usual_prefix(nic.device, *address)) return Cidr{*address, *prefix};
    for (const auto& own : nic.lowering.network_addresses[nic.parent()])
        if (own.contains(*address)) return Cidr{*address, own.prefix};
    nic.lowering.diagnostics.error(
        "address-without-prefix",
        fmt::format("address {} has no prefix and its network is not declared with a subnet here", text), where,
        fmt::format("write {}/{}", text, address->family == IpAddress::Family::v4 ? 24 : 64));
    return std::nullopt;
}

std::set<Cidr> addresses_of(Nic& nic) {
    std::set<Cidr> result;
    for (const std::string family : {"ipv4", "ipv6"}) {
        const auto value = nic.setting(family + ".address", family);
        if (!value || value->text == "none" || value->text == "auto") continue;
        nic.places["addresses"] = value->where;
        // raw.lxc's lines are about the inside of the container; a device's key is about its place on the network.
        const bool is_reserved = nic.key(family + ".address") != nullptr && nic.is_served(family);
        for (const auto text : address_texts(nic.device, value->text))
            if (const auto cidr = completed(nic, text, value->where)) (is_reserved ? nic.reserved : result).insert(*cidr);
    }
    return result;
}

/// What DHCP would have said: the bridge's own address, if the NIC is in its subnet and it routes.
std::optional<IpAddress> default_gateway(const Nic& nic, IpAddress::Family family) {
    const resource::Network* network = nic.network();
    if (network == nullptr || network->type.text == "macvlan") return std::nullopt;
    if (!bool_value(network->config, fmt::format("{}.routing", family_name(family)), true)) return std::nullopt;
    const auto bridge = nic.lowering.network_addresses.find(nic.parent());
    if (bridge == nic.lowering.network_addresses.end()) return std::nullopt;
    for (const auto& theirs : bridge->second)
        for (const auto& ours : *nic.link.addresses)
            if (ours.address.family == family && theirs.contains(ours.address)) return theirs.address;
    return std::nullopt;
}

/// Who gives the address says the gateway with it.
bool is_led_out(const Nic& nic, IpAddress::Family family) {
    return nic.is_served(family_name(family)) && !has_family(*nic.link.addresses, family);
}

constexpr std::string_view everywhere(IpAddress::Family family) {
    return family == IpAddress::Family::v4 ? "0.0.0.0/0" : "::/0";
}

void lower_said_gateway(Nic& nic, IpAddress::Family family) {
    const std::string key = fmt::format("{}.gateway", family_name(family));
    const auto value = nic.setting(key, key);
    if (!value || is_led_out(nic, family)) return;
    const auto gateway = value->text == "auto" ? default_gateway(nic, family) : IpAddress::parse(value->text);
    if (gateway) add_inner_route(nic, std::string(everywhere(family)), gateway->str()).places["via"] = value->where;
}

/// The way out that nobody wrote down: for a container that has no other, by the first NIC that has one.
void lower_usual_gateway(std::vector<Nic>& nics, IpAddress::Family family) {
    if (std::any_of(nics.begin(), nics.end(), [&](const Nic& nic) { return is_led_out(nic, family); })) return;
    const std::string key = fmt::format("{}.gateway", family_name(family));
    for (Nic& nic : nics) {
        const ObjectId route{ObjectKind::route, fmt::format("{}:{}", nic.container.name.text, everywhere(family))};
        if (nic.lowering.desired.contains(route)) return;
        const auto gateway = default_gateway(nic, family);
        if (!gateway || is_routed(nic.device) || nic.setting(key, key)) continue;
        add_inner_route(nic, std::string(everywhere(family)), gateway->str());
    }
}

void attach(Nic& nic) {
    std::set<Cidr> all = nic.reserved;
    all.insert(nic.link.addresses->begin(), nic.link.addresses->end());
    nic.lowering.attachments[nic.parent()].push_back({&nic.container, &nic.device, nic.interface, *nic.link.mac,
                                                      nic.host_end ? nic.host_end->name : std::string(), std::move(all)});
}

void lower(Nic& nic, const std::string& type) {
    Link& link = nic.link;
    link.up = true;
    link.mac = mac_of(nic, type);
    link.mtu = mtu_of(nic, type);
    link.addresses = addresses_of(nic);
    link.ipv6 = has_family(*link.addresses, IpAddress::Family::v6) ||
                (type == "bridged" && announces_ipv6(nic.lowering, nic.parent()));
    if (type == "macvlan") lower_macvlan_nic(nic);
    else if (type == "ipvlan") lower_ipvlan_nic(nic);
    else if (type == "physical") lower_physical_nic(nic);
    else if (type == "routed") lower_routed_nic(nic);
    else if (type == "p2p") lower_p2p_nic(nic);
    else lower_bridged_nic(nic);
    nic.add(nic.id, link, nic.needs).places = nic.places;
    if (!is_routed(nic.device)) {
        lower_said_gateway(nic, IpAddress::Family::v4);
        lower_said_gateway(nic, IpAddress::Family::v6);
    }
    if (nic.network() == nullptr || (type != "bridged" && type != "macvlan")) return;
    attach(nic);
    if (type == "bridged" && has_dns_service(nic.lowering, *nic.network()))
        nic.ground.push_back({ObjectKind::dns_service, nic.parent()});
}

bool asks_dhcp(const Nic& nic) {
    if (is_routed(nic.device)) return false;
    return nic.link.addresses->empty() || (nic.is_served("ipv4") && !has_family(*nic.link.addresses, IpAddress::Family::v4));
}

}  // namespace

LoweredNics lower_nics(Lowering& lowering, const resource::Container& container,
                       const std::map<std::string, std::string>& old_settings) {
    LoweredNics result;
    std::vector<Nic> nics;
    for (const auto& [name, device] : container.devices)
        if (device.type.text == "nic") nics.emplace_back(lowering, container, name, device);
    if (!old_settings.empty() && nics.size() != 1) {
        lowering.diagnostics.error(
            "raw-lxc",
            fmt::format("raw.lxc sets lxc.network keys, but container {} has {} NICs; they can only mean one",
                        container.name.text, nics.size()),
            container.config.find("raw.lxc")->second.value.where, "write the settings as keys of the nic device");
    }
    for (auto& nic : nics) {
        if (nics.size() == 1) nic.old_settings = old_settings;
        lower(nic, nic.type());
        result.links.push_back(nic.id);
        if (nic.host_end) result.links.push_back(*nic.host_end);
        result.links.insert(result.links.end(), nic.ground.begin(), nic.ground.end());
        if (asks_dhcp(nic)) result.by_dhcp.push_back(nic.interface);
    }
    for (const auto family : {IpAddress::Family::v4, IpAddress::Family::v6}) lower_usual_gateway(nics, family);
    return result;
}

}  // namespace ctl::model
