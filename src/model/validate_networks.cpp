#include <algorithm>

#include <fmt/format.h>

#include "base/text.h"
#include "model/fan.h"
#include "model/validation.h"
#include "model/value_types.h"

namespace ctl::model {

namespace {

using resource::Network;

constexpr std::string_view address_keys[] = {"ipv4.address", "ipv6.address"};

bool is_in(const IpAddress& address, std::string_view block) { return Cidr::parse(block)->contains(address); }

/// The address after a subnet's own, by custom the router's.
Cidr first_host(const Cidr& cidr) {
    Cidr host = cidr.network();
    auto& last = host.address.bytes[host.address.bits() / 8 - 1];
    last = static_cast<std::uint8_t>(last | 1U);
    return host;
}

void check_address(Validation& validation, std::string_view key, const Value& value) {
    if (value.text == "none" || value.text == "auto") return;
    const bool is_v4 = key == "ipv4.address";
    const std::string example = is_v4 ? "10.0.3.1/24" : "fd42:3::1/64";
    const auto cidr = Cidr::parse(value.text);
    if (!cidr) {
        const bool lacks_prefix = IpAddress::parse(value.text).has_value();
        validation.value_error(
            "bad-cidr", fmt::format("{} is not an address with a prefix length", quoted(value.text)), value.where,
            fmt::format("write {}", lacks_prefix ? value.text + (is_v4 ? "/24" : "/64") : "for instance " + example));
        return;
    }
    if ((cidr->address.family == IpAddress::Family::v4) != is_v4) {
        validation.value_error("wrong-family", fmt::format("{} has an address of the other family: {}", key, value.text),
                               value.where, fmt::format("write for instance {}", example));
        return;
    }
    const bool is_special = !unusable_reason(first_host(*cidr)).empty();
    if (const std::string reason = unusable_reason(*cidr); !reason.empty())
        validation.error(
            "address-unusable", fmt::format("{} {}", value.text, reason), value.where,
            fmt::format("use another address, for instance {}", is_special ? example : first_host(*cidr).str()));
}

void check_network_mtu(Validation& validation, const Network& network) {
    const Value* value = find_value(network.config, mtu_key(network));
    const Value* parent = find_value(network.config, "parent");
    if (value != nullptr)
        check_mtu(validation, *value, parent != nullptr ? validation.network(parent->text) : nullptr, "its parent");
}

void check_overlaps(Validation& validation) {
    struct Subnet {
        Cidr cidr;
        const Network* network;
        SourceSpan where;
    };
    std::vector<Subnet> subnets;
    for (const auto& network : validation.stack.networks)
        for (const auto& [cidr, where] : subnets_of(network)) subnets.push_back({cidr, &network, where});
    std::stable_sort(subnets.begin(), subnets.end(), [](const Subnet& a, const Subnet& b) {
        const auto key = [](const Subnet& s) { return std::pair(s.cidr.network().address, s.cidr.prefix); };
        return key(a) < key(b);
    });
    // In this order everything inside a subnet follows it; the widest so far is enough to find every clash once.
    const Subnet* widest = nullptr;
    for (const auto& subnet : subnets) {
        if (widest == nullptr || !widest->cidr.overlaps(subnet.cidr) ||
            widest->cidr.address.family != subnet.cidr.address.family) {
            widest = &subnet;
            continue;
        }
        if (widest->network == subnet.network) continue;
        const bool is_later =
            std::tuple(widest->where.line, widest->where.column) < std::tuple(subnet.where.line, subnet.where.column);
        const Subnet& first = is_later ? *widest : subnet;
        const Subnet& second = is_later ? subnet : *widest;
        if (validation.segment(first.network->name.text) != validation.segment(second.network->name.text)) {
            validation.error("subnet-overlap",
                             fmt::format("subnet {} of network {} overlaps {} of network {} at {}",
                                         second.cidr.network().str(), quoted(second.network->name.text),
                                         first.cidr.network().str(), quoted(first.network->name.text), first.where.str()),
                             second.where, "give each network a subnet of its own");
        } else if (first.cidr.address == second.cidr.address) {
            validation.error(
                "address-taken",
                fmt::format("address {} of network {} is taken by network {} at {}", second.cidr.address.str(),
                            quoted(second.network->name.text), quoted(first.network->name.text), first.where.str()),
                second.where, "use another address of the subnet");
        }
    }
}

void check_parent(Validation& validation, const Network& network, std::vector<NamedEdge>& edges) {
    if (network.type.text != "macvlan") return;
    const Value* parent = find_value(network.config, "parent");
    if (parent == nullptr) {
        validation.error("missing-parent", fmt::format("macvlan network {} has no parent", quoted(network.name.text)),
                         network.name.where, "add config: {parent: INTERFACE}");
        return;
    }
    if (!is_interface_name(parent->text) || parent->text == "lo") {
        validation.value_error("bad-interface", fmt::format("{} can't be a parent", quoted(parent->text)), parent->where,
                               "name a network or an interface of the host, for instance eth0");
        return;
    }
    check_vlan_interface(validation, network.config);
    edges.push_back({network.name.text, parent->text, network.name.where});
}

}  // namespace

void check_mtu(Validation& validation, const Value& value, const Network* below, std::string_view role) {
    const auto mtu = parse_mtu(value.text);
    if (!mtu) {
        validation.value_error("bad-mtu", fmt::format("MTU {} is out of range", quoted(value.text)), value.where,
                               "use 1280 to 16384; IPv6 needs 1280 at least");
        return;
    }
    const Value* limit = below != nullptr ? find_value(below->config, mtu_key(*below)) : nullptr;
    const auto most = limit != nullptr ? parse_mtu(limit->text) : std::nullopt;
    if (most && *mtu > *most)
        validation.error("mtu-too-big",
                         fmt::format("MTU {} is greater than {} of {} {} at {}", *mtu, *most, role, quoted(below->name.text),
                                     limit->where.str()),
                         value.where, fmt::format("use {} or less", *most));
}

std::string_view mtu_key(const Network& network) { return network.type.text == "macvlan" ? "mtu" : "bridge.mtu"; }

std::vector<std::pair<Cidr, SourceSpan>> subnets_of(const Network& network) {
    std::vector<std::pair<Cidr, SourceSpan>> subnets;
    for (const auto key : address_keys)
        if (const Value* value = find_value(network.config, key))
            if (const auto cidr = Cidr::parse(value->text)) subnets.emplace_back(*cidr, value->where);
    if (const auto overlay = overlay_of(network)) {
        const Value* value = find_value(network.config, "fan.overlay_subnet");
        subnets.emplace_back(*overlay, value != nullptr ? value->where : network.name.where);
    }
    return subnets;
}

std::string unusable_reason(const Cidr& cidr) {
    const IpAddress& address = cidr.address;
    const bool is_v4 = address.family == IpAddress::Family::v4;
    if (is_in(address, is_v4 ? "0.0.0.0/8" : "::/128")) return "is no address of an interface";
    if (is_in(address, is_v4 ? "127.0.0.0/8" : "::1/128")) return "is a loopback address";
    if (is_in(address, is_v4 ? "224.0.0.0/4" : "ff00::/8")) return "is a multicast address";
    if (is_v4 && is_in(address, "255.255.255.255/32")) return "is the broadcast address of every network";
    if (cidr.prefix == 0) return "covers the whole internet";
    // Point-to-point and host prefixes have no network or broadcast address (RFC 3021, RFC 6164).
    if (cidr.prefix + 1 >= address.bits()) return {};
    if (address == cidr.network().address) return fmt::format("is the network address of {}", cidr.network().str());
    if (is_v4 && address == cidr.last()) return fmt::format("is the broadcast address of {}", cidr.network().str());
    return {};
}

void validate_networks(Validation& validation) {
    std::vector<NamedEdge> parents;
    for (const auto& network : validation.stack.networks) {
        for (const auto key : address_keys)
            if (const Value* value = find_value(network.config, key)) check_address(validation, key, *value);
        check_network_mtu(validation, network);
        check_parent(validation, network, parents);
    }
    check_overlaps(validation);
    for (const auto& cycle : find_cycles(parents))
        validation.error("cycle", fmt::format("networks are each other's parents: {}", cycle_text(cycle)),
                         cycle.front().where, "let one of them have an interface of the host as parent");
}

namespace {

/// Who has an interface for himself: a bridge takes all of its traffic.
class Owners {
public:
    explicit Owners(Validation& validation) : validation_(validation) {}

    void add_ports(const Network& bridge) {
        const Value* list = find_value(bridge.config, "bridge.external_interfaces");
        if (list == nullptr || bridge.type.text == "macvlan") return;
        for (const auto name : parse_list(list->text)) add_port(bridge, name, list->where);
    }

    void add_parent(const std::string& user, const Value& parent) {
        const auto owner = ports_.find(parent.text);
        if (owner == ports_.end()) return;
        validation_.error(
            "two-owners",
            fmt::format("interface {} can't be the parent of {}: it is a port of bridge {} at {}", quoted(parent.text), user,
                        quoted(owner->second.bridge->name.text), owner->second.where.str()),
            parent.where, fmt::format("use {} as parent", quoted(owner->second.bridge->name.text)));
    }

private:
    void add_port(const Network& bridge, std::string_view name, const SourceSpan& where) {
        if (!is_interface_name(name) || name == "lo") {
            validation_.value_error("bad-interface", fmt::format("{} can't be a port of a bridge", quoted(name)), where,
                                    "name an interface of the host, for instance eth1");
            return;
        }
        if (const Network* declared = validation_.network(name)) {
            validation_.error(
                "bridge-port",
                fmt::format("{} can't be a port of bridge {}: it is the {} network declared at {}", quoted(name),
                            quoted(bridge.name.text), declared->type.text == "macvlan" ? "macvlan" : "bridge",
                            declared->name.where.str()),
                where, "name an interface of the host that nothing else uses");
            return;
        }
        const auto [owner, is_new] = ports_.emplace(name, Port{&bridge, where});
        if (is_new) return;
        validation_.error("two-owners",
                          owner->second.bridge == &bridge
                              ? fmt::format("interface {} is listed twice", quoted(name))
                              : fmt::format("interface {} is a port of bridge {} already, at {}", quoted(name),
                                            quoted(owner->second.bridge->name.text), owner->second.where.str()),
                          where, "an interface can be a port of one bridge only; remove it from the other");
    }

    struct Port {
        const Network* bridge;
        SourceSpan where;
    };
    Validation& validation_;
    std::map<std::string, Port, std::less<>> ports_;
};

template <typename T>
void add_nic_parents(Owners& owners, const std::vector<T>& things, std::string_view kind) {
    for (const auto& thing : things)
        for (const auto& [name, device] : thing.devices)
            if (const Value* parent = find_value(device.keys, "parent"))
                owners.add_parent(fmt::format("device {} of {} {}", quoted(name), kind, quoted(thing.name.text)), *parent);
}

}  // namespace

void validate_interface_owners(Validation& validation) {
    Owners owners(validation);
    for (const auto& network : validation.stack.networks) owners.add_ports(network);
    for (const auto& network : validation.stack.networks)
        if (const Value* parent = find_value(network.config, "parent"))
            owners.add_parent(fmt::format("network {}", quoted(network.name.text)), *parent);
    add_nic_parents(owners, validation.stack.profiles, "profile");
    add_nic_parents(owners, validation.stack.containers, "container");
}

}  // namespace ctl::model
