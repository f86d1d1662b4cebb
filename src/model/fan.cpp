#include "model/fan.h"

#include <fmt/format.h>

#include "model/lowering.h"
#include "model/tunnels.h"

namespace ctl::model {

namespace {

using flow::Match;
using resource::Network;

constexpr std::string_view default_overlay = "240.0.0.0/8";
constexpr unsigned table = 10;

// What of the table comes first.
constexpr unsigned from_tunnel = 50;
constexpr unsigned not_for_us = 49;
constexpr unsigned tagged = 40;
constexpr unsigned stays = 30;
constexpr unsigned to_nobody = 25;
constexpr unsigned leaves = 20;
constexpr unsigned other = 0;

std::uint32_t number_of(const IpAddress& address) {
    const auto& b = address.bytes;
    return std::uint32_t{b[0]} << 24U | std::uint32_t{b[1]} << 16U | std::uint32_t{b[2]} << 8U | std::uint32_t{b[3]};
}

IpAddress address_of(std::uint32_t number) {
    IpAddress address;
    for (unsigned i = 0; i < 4; ++i) address.bytes[i] = static_cast<std::uint8_t>(number >> (24U - 8U * i));
    return address;
}

void set(Network& network, const std::string& name, std::string text) {
    const auto found = network.config.find(name);
    const SourceSpan where = found != network.config.end() ? found->second.key_where : network.name.where;
    network.config[name] = {{std::move(text), where}, where};
}

void set_default(Network& network, const std::string& name, std::string text) {
    if (find_value(network.config, name) == nullptr) set(network, name, std::move(text));
}

/// Our address in the underlay with its subnet: one that the stack itself declares comes before those that the host has.
std::optional<Cidr> find_host(const Network& network, const resource::Stack& stack, const HostLayout& layout) {
    const Value* wanted = find_value(network.config, "fan.underlay_subnet");
    if (wanted == nullptr || wanted->text == "auto") {
        for (const Cidr& own : layout.uplink_addresses)
            if (own.address.family == IpAddress::Family::v4) return own;
        return std::nullopt;
    }
    const auto underlay = Cidr::parse(wanted->text);
    if (!underlay) return std::nullopt;
    const auto within = [&](const std::optional<Cidr>& own) {
        return own && underlay->contains(own->address) ? std::optional(Cidr{own->address, underlay->prefix}) : std::nullopt;
    };
    for (const auto& declared : stack.networks) {
        const Value* address = is_fan_network(declared) ? nullptr : find_value(declared.config, "ipv4.address");
        if (const auto own = within(address != nullptr ? Cidr::parse(address->text) : std::nullopt)) return own;
    }
    for (const Cidr& own : layout.addresses)
        if (const auto found = within(own)) return found;
    return std::nullopt;
}

}  // namespace

Cidr Fan::part_of(const IpAddress& in_underlay) const {
    const std::uint32_t host_bits = number_of(in_underlay) - number_of(underlay.address);
    return {address_of(number_of(overlay.address) + (host_bits << (32U - part_prefix()))), part_prefix()};
}

IpAddress Fan::owner_of(const IpAddress& in_overlay) const {
    const std::uint32_t offset = number_of(in_overlay) - number_of(overlay.address);
    return address_of(number_of(underlay.address) + (offset >> (32U - part_prefix())));
}

bool is_fan_network(const Network& network) {
    const Value* mode = find_value(network.config, "bridge.mode");
    return mode != nullptr && mode->text == "fan";
}

std::optional<Cidr> overlay_of(const Network& network) {
    if (!is_fan_network(network)) return std::nullopt;
    const Value* declared = find_value(network.config, "fan.overlay_subnet");
    const auto overlay = Cidr::parse(declared != nullptr ? declared->text : default_overlay);
    return overlay ? std::optional(overlay->network()) : std::nullopt;
}

bool fits(const Cidr& overlay, const Cidr& underlay) {
    return underlay.prefix > 0 && overlay.prefix > 0 && overlay.prefix + 32 - underlay.prefix <= 30;
}

void fill_fan(Network& network, const resource::Stack& stack, const HostLayout& layout) {
    if (!is_fan_network(network)) return;
    set_default(network, "bridge.driver", "openvswitch");
    set_default(network, "bridge.mtu", std::to_string(fan_mtu));
    set_default(network, "fan.overlay_subnet", std::string(default_overlay));
    set_default(network, "ipv4.nat", "true");
    set(network, "ipv6.address", "none");
    set(network, "ipv4.address", "none");
    const auto overlay = Cidr::parse(find_value(network.config, "fan.overlay_subnet")->text);
    const auto own = find_host(network, stack, layout);
    if (!overlay || !own || !fits(*overlay, *own)) return;
    const Fan fan{overlay->network(), own->network(), own->address};
    const Cidr part = fan.part_of(own->address);
    const std::uint32_t first = number_of(part.address);
    set(network, "fan.underlay_subnet", fan.underlay.str());
    // All of the overlay is beside us: whoever is asked for an address of it gets the question by the tunnel.
    set(network, "ipv4.address", Cidr{address_of(first + 1), fan.overlay.prefix}.str());
    set(network, "ipv4.dhcp.ranges",
        fmt::format("{}-{}", address_of(first + 2).str(), address_of(number_of(part.last()) - 1).str()));
}

std::optional<Fan> fan_of(const Network& network) {
    if (!is_fan_network(network)) return std::nullopt;
    const auto cidr = [&](std::string_view name) {
        const Value* value = find_value(network.config, name);
        return value != nullptr ? Cidr::parse(value->text) : std::nullopt;
    };
    const auto overlay = cidr("fan.overlay_subnet");
    const auto underlay = cidr("fan.underlay_subnet");
    const auto own = cidr("ipv4.address");
    if (!overlay || !underlay || !own) return std::nullopt;
    Fan fan{overlay->network(), underlay->network(), {}};
    fan.host = fan.owner_of(own->address);
    return fan;
}

std::string fan_port(const Network& network) { return network.name.text + "-fan"; }

OvsPort fan_tunnel(const Fan& fan, const std::string& bridge) {
    OvsPort port;
    port.bridge = bridge;
    port.type = "vxlan";
    port.plugged = true;
    // Which host a packet goes to, its flow says. The identifier is the overlay's, so that overlays don't mix.
    port.options = {{"remote_ip", "flow"},
                    {"local_ip", fan.host.str()},
                    {"key", std::to_string(number_of(fan.overlay.address) >> 8U)},
                    {"dst_port", std::to_string(default_vxlan_port)}};
    // A VLAN that no frame can have: what the switch floods does not get there, for it would be for no host.
    port.vlan_mode = "trunk";
    port.trunks = std::vector<std::string>{"4095"};
    return port;
}

void add_fan_flows(const Fan& fan, const std::string& tunnel, flow::Flows& flows) {
    flows.add(0, 1, {}, fan_onward);
    const std::string part = fan.part_of(fan.host).str();
    const std::string tunnel_port = flow::port(tunnel);
    const auto about = [](std::string_view type, const std::string& destination) {
        Match match;
        match.type = type;
        match.destination = destination;
        return match;
    };
    // A packet from the tunnel counts as coming from nowhere: were its sender learned to be there, frames would be sent to
    // him without saying to which host.
    const std::string as_if_local = "load:0xffff->NXM_OF_IN_PORT[],NORMAL";
    Match from;
    from.in_port = tunnel_port;
    flows.add(table, not_for_us, from, "drop");
    Match has_vlan;
    has_vlan.is_tagged = true;
    flows.add(table, tagged, has_vlan, "drop");
    flows.add(table, other, {}, "NORMAL");

    const Cidr nobody = fan.part_of(fan.underlay.address);
    const Cidr everybody = fan.part_of(fan.underlay.last());
    const unsigned shift = 32U - fan.part_prefix();
    const unsigned bits = 32U - fan.underlay.prefix;
    for (const std::string_view type : {"arp", "ip"}) {
        Match arrives = about(type, part);
        arrives.in_port = tunnel_port;
        arrives.tunnel_source = fan.underlay.str();
        flows.add(table, from_tunnel, arrives, as_if_local);
        flows.add(table, stays, about(type, part), "NORMAL");
        for (const Cidr& no_host : {nobody, everybody}) flows.add(table, to_nobody, about(type, no_host.str()), "drop");
        flows.add(table, leaves, about(type, fan.overlay.str()),
                  fmt::format("load:{:#x}->NXM_NX_TUN_IPV4_DST[],move:{}[{}..{}]->NXM_NX_TUN_IPV4_DST[0..{}],output:{}",
                              number_of(fan.underlay.address), type == "arp" ? "NXM_OF_ARP_TPA" : "NXM_OF_IP_DST", shift,
                              shift + bits - 1, bits - 1, tunnel_port));
    }
}

}  // namespace ctl::model
