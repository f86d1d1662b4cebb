#include "model/tunnels.h"

#include <map>
#include <string_view>

#include "model/ip.h"
#include "model/value_types.h"

namespace ctl::model {

namespace {

constexpr std::string_view prefix = "tunnel.";
constexpr std::string_view default_group = "239.0.0.1";
constexpr std::int64_t default_vni = 1;

std::int64_t number_of(const Value* value, std::int64_t otherwise) {
    const auto number = value != nullptr ? parse_uint(value->text) : std::nullopt;
    return number.value_or(otherwise);
}

/// Addresses in one spelling.
std::string canonical(const Value& address) {
    const auto parsed = IpAddress::parse(address.text);
    return parsed ? parsed->str() : address.text;
}

void set_member(Tunnel& tunnel, std::string_view key, const Value& value) {
    const std::map<std::string_view, const Value**> members{
        {"protocol", &tunnel.protocol}, {"local", &tunnel.local}, {"remote", &tunnel.remote}, {"group", &tunnel.group},
        {"interface", &tunnel.device},  {"id", &tunnel.id},       {"port", &tunnel.port},     {"ttl", &tunnel.ttl}};
    if (const auto member = members.find(key); member != members.end()) *member->second = &value;
}

}  // namespace

bool Tunnel::is_multicast() const {
    return protocol != nullptr && protocol->text == "vxlan" && local == nullptr && remote == nullptr;
}

std::vector<Tunnel> tunnels_of(const resource::Network& network) {
    std::map<std::string, Tunnel> tunnels;
    for (const auto& [key, entry] : network.config) {
        if (!key.starts_with(prefix) || entry.value.empty()) continue;
        const std::string_view rest = std::string_view(key).substr(prefix.size());
        const std::size_t dot = rest.find('.');
        if (dot == std::string_view::npos) continue;
        Tunnel& tunnel = tunnels[std::string(rest.substr(0, dot))];
        if (tunnel.name.empty()) {
            tunnel.name = rest.substr(0, dot);
            tunnel.interface = network.name.text + "-" + tunnel.name;
            tunnel.where = entry.value.where;
        }
        set_member(tunnel, rest.substr(dot + 1), entry.value);
    }
    std::vector<Tunnel> sorted;
    for (auto& [name, tunnel] : tunnels) sorted.push_back(std::move(tunnel));
    return sorted;
}

std::optional<std::int64_t> bridge_mtu(const resource::Network& network) {
    const auto mtu = network.config.find("bridge.mtu");
    if (mtu != network.config.end() && !mtu->second.value.empty()) return parse_mtu(mtu->second.value.text);
    return tunnels_of(network).empty() ? std::nullopt : std::optional(tunnel_mtu);
}

Link tunnel_link(const Tunnel& tunnel) {
    const bool is_gre = tunnel.protocol != nullptr && tunnel.protocol->text == "gre";
    Link link;
    link.type = is_gre ? LinkType::gretap : LinkType::vxlan;
    link.up = true;
    link.ipv6 = false;
    if (tunnel.local != nullptr) link.local = canonical(*tunnel.local);
    if (tunnel.remote != nullptr) link.remote = canonical(*tunnel.remote);
    if (tunnel.ttl != nullptr) link.ttl = number_of(tunnel.ttl, 0);
    if (is_gre) {
        // Without an id packets have no key; 0 is one.
        if (tunnel.id != nullptr) link.vni = number_of(tunnel.id, 0);
        return link;
    }
    link.vni = number_of(tunnel.id, default_vni);
    const std::int64_t port = number_of(tunnel.port, 0);
    link.port = port != 0 ? port : default_vxlan_port;
    if (tunnel.is_multicast()) {
        link.remote = tunnel.group != nullptr ? canonical(*tunnel.group) : std::string(default_group);
        if (tunnel.device != nullptr) link.parent = tunnel.device->text;
        link.ttl = number_of(tunnel.ttl, 1);
    }
    return link;
}

OvsPort tunnel_port(const Tunnel& tunnel, const std::string& bridge) {
    const bool is_vxlan = tunnel.protocol != nullptr && tunnel.protocol->text == "vxlan";
    OvsPort port;
    port.bridge = bridge;
    port.type = is_vxlan ? "vxlan" : "gre";
    port.plugged = true;
    auto& options = port.options.emplace();
    if (tunnel.local != nullptr) options["local_ip"] = canonical(*tunnel.local);
    if (tunnel.remote != nullptr) options["remote_ip"] = canonical(*tunnel.remote);
    if (is_vxlan) {
        const std::int64_t udp = number_of(tunnel.port, 0);
        options["key"] = std::to_string(number_of(tunnel.id, default_vni));
        options["dst_port"] = std::to_string(udp != 0 ? udp : default_vxlan_port);
    } else if (tunnel.id != nullptr) {
        options["key"] = std::to_string(number_of(tunnel.id, 0));
    }
    if (tunnel.ttl != nullptr) options["ttl"] = std::to_string(number_of(tunnel.ttl, 0));
    return port;
}

}  // namespace ctl::model
