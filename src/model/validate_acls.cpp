#include <algorithm>

#include <fmt/format.h>

#include "base/text.h"
#include "model/traffic.h"
#include "model/validation.h"
#include "model/value_types.h"

namespace ctl::model {

namespace {

using resource::AclRule;
using resource::ForwardPort;
using resource::NetworkForward;
using Family = IpAddress::Family;

// Rules that lead every port to another one are one line of the firewall each.
constexpr unsigned most_single_ports = 1000;

/// The addresses of a list; every member that is none is told.
std::vector<AddressRange> addresses_in(Validation& validation, const Value& list, std::string_view what) {
    std::vector<AddressRange> ranges;
    if (list.empty()) return ranges;
    for (const auto part : parse_list(list.text)) {
        if (const auto range = AddressRange::parse(part)) {
            ranges.push_back(*range);
            continue;
        }
        const bool is_selector = part.starts_with('@') || validation.acls.contains(part);
        validation.value_error("bad-address",
                               is_selector
                                   ? fmt::format("{} as {}: only addresses can be named on a bridge", quoted(part), what)
                                   : fmt::format("{} is no address, subnet or range of addresses", quoted(part)),
                               list.where, "write for instance 10.0.3.32, 10.0.3.0/24 or 10.0.3.10-10.0.3.20");
    }
    return ranges;
}

/// The ports of a list; every member that is none is told.
std::vector<PortRange> ports_in(Validation& validation, const Value& list) {
    std::vector<PortRange> ranges;
    if (list.empty()) return ranges;
    for (const auto part : parse_list(list.text)) {
        if (const auto range = PortRange::parse(part)) ranges.push_back(*range);
        else
            validation.value_error("bad-port", fmt::format("{} is no port or range of ports", quoted(part)), list.where,
                                   "write for instance 80 or 8000-8010, from 1 to 65535");
    }
    return ranges;
}

bool has(const std::vector<AddressRange>& ranges, Family family) {
    return std::any_of(ranges.begin(), ranges.end(), [&](const AddressRange& range) { return range.family() == family; });
}

void check_protocol(Validation& validation, const AclRule& rule) {
    const std::string& protocol = rule.protocol.text;
    const bool has_ports = protocol == "tcp" || protocol == "udp";
    const bool is_icmp = protocol == "icmp4" || protocol == "icmp6";
    for (const auto& [value, name] :
         {std::pair{&rule.source_port, "source_port"}, {&rule.destination_port, "destination_port"}}) {
        if (value->empty()) continue;
        if (!has_ports)
            validation.error("port-without-protocol", fmt::format("{} needs protocol tcp or udp", name), value->where,
                             "add protocol: tcp or protocol: udp");
        (void)ports_in(validation, *value);
    }
    for (const auto& [value, name] : {std::pair{&rule.icmp_type, "icmp_type"}, {&rule.icmp_code, "icmp_code"}}) {
        if (value->empty()) continue;
        if (!is_icmp)
            validation.error("icmp-without-protocol", fmt::format("{} needs protocol icmp4 or icmp6", name), value->where,
                             "add protocol: icmp4 or protocol: icmp6");
        if (!parse_uint(value->text, 255))
            validation.value_error("bad-icmp", fmt::format("{} is not a number from 0 to 255", quoted(value->text)),
                                   value->where, "write for instance 8");
    }
    if (!rule.icmp_code.empty() && rule.icmp_type.empty())
        validation.error("icmp-code", "icmp_code says nothing without icmp_type", rule.icmp_code.where, "add icmp_type");
}

/// A rule whose parts are of different families would never match anything.
void check_families(Validation& validation, const AclRule& rule) {
    const auto source = addresses_in(validation, rule.source, "source");
    const auto destination = addresses_in(validation, rule.destination, "destination");
    const auto can_be = [&](Family family) {
        const bool fits_protocol = rule.protocol.text != (family == Family::v4 ? "icmp6" : "icmp4");
        return fits_protocol && (source.empty() || has(source, family)) && (destination.empty() || has(destination, family));
    };
    if (can_be(Family::v4) || can_be(Family::v6)) return;
    validation.error("acl-family",
                     "the rule can't match anything: its source, destination and protocol have no family in common",
                     rule.where, "use IPv4 addresses with IPv4 ones and icmp4, IPv6 with IPv6 and icmp6");
}

void check_rules(Validation& validation, const std::vector<AclRule>& rules) {
    for (const AclRule& rule : rules) {
        check_protocol(validation, rule);
        check_families(validation, rule);
    }
}

/// Where traffic is led to: an address of the forward's family, in the network's subnet.
std::optional<IpAddress> check_target(Validation& validation, const NetworkForward& forward, const Value& target) {
    const auto address = IpAddress::parse(target.text);
    const auto listen = IpAddress::parse(forward.listen_address.text);
    const resource::Network* network = validation.network(forward.network.text);
    if (!address || !listen || network == nullptr) return address;
    if (address->family != listen->family) {
        validation.error("forward-family",
                         fmt::format("target {} and listen address {} are of different families", target.text,
                                     forward.listen_address.text),
                         target.where, "use two IPv4 or two IPv6 addresses");
        return address;
    }
    for (const auto& [subnet, where] : subnets_of(*network)) {
        if (subnet.address.family != address->family) continue;
        if (!subnet.contains(*address))
            validation.error("address-outside",
                             fmt::format("target {} is outside subnet {} of network {}", target.text, subnet.network().str(),
                                         quoted(network->name.text)),
                             target.where, fmt::format("use an address inside {}", subnet.network().str()));
        else if (subnet.address == *address)
            validation.error(
                "forward-target",
                fmt::format("target {} is the address of network {} itself", target.text, quoted(network->name.text)),
                target.where, "use the address of a container");
        return address;
    }
    const Value* own = find_value(network->config, address->family == Family::v4 ? "ipv4.address" : "ipv6.address");
    if (own != nullptr && own->text == "none")
        validation.error("address-outside",
                         fmt::format("target {} is in no subnet of network {}", target.text, quoted(network->name.text)),
                         target.where, "give the network an address of that family");
    return address;
}

/// The ports that one forward has led on already, by protocol.
class UsedPorts {
public:
    explicit UsedPorts(Validation& validation) : validation_(validation) {}

    void add(const ForwardPort& port, const std::vector<PortRange>& ranges) {
        for (const PortRange& range : ranges) {
            for (const auto& [other, where] : used_[port.protocol.text])
                if (range.first <= other.last && other.first <= range.last)
                    validation_.error("forward-port-twice",
                                      fmt::format("{} port {} is led on already, at {}", port.protocol.text,
                                                  std::max(range.first, other.first), where.str()),
                                      port.listen_port.where, "let each port lead to one place");
            used_[port.protocol.text].emplace_back(range, port.listen_port.where);
        }
    }

private:
    Validation& validation_;
    std::map<std::string, std::vector<std::pair<PortRange, SourceSpan>>> used_;
};

unsigned count(const std::vector<PortRange>& ranges) {
    unsigned total = 0;
    for (const PortRange& range : ranges) total += range.count();
    return total;
}

void check_port(Validation& validation, const NetworkForward& forward, const ForwardPort& port, UsedPorts& used) {
    const auto listen = ports_in(validation, port.listen_port);
    const auto target = ports_in(validation, port.target_port);
    used.add(port, listen);
    const auto address = check_target(validation, forward, port.target_address);
    const Value* otherwise = find_value(forward.config, "target_address");
    if (address && otherwise != nullptr && IpAddress::parse(otherwise->text) == address && target.empty())
        validation.error(
            "forward-target",
            fmt::format("ports {} lead to {}, where all else leads too", port.listen_port.text, port.target_address.text),
            port.target_address.where, "remove them, or lead them elsewhere");
    if (listen.empty() || target.empty() || count(target) == 1) return;
    if (count(target) != count(listen))
        validation.error(
            "forward-ports", fmt::format("{} listen ports can't lead to {} target ports", count(listen), count(target)),
            port.target_port.where, "name one target port, or as many as listen_port has, or none for the same ones");
    else if (count(target) > most_single_ports)
        validation.error(
            "forward-ports",
            fmt::format("{} ports would each lead to another one, and {} is the most", count(target), most_single_ports),
            port.target_port.where, "remove target_port to keep the ports as they are");
}

void check_listen_address(Validation& validation, const NetworkForward& forward, const resource::Network* network) {
    const auto address = IpAddress::parse(forward.listen_address.text);
    if (!address || network == nullptr) return;
    for (const auto& [subnet, where] : subnets_of(*network))
        if (subnet.contains(*address))
            validation.error("forward-listen",
                             fmt::format("listen address {} is in subnet {} of network {} itself",
                                         forward.listen_address.text, subnet.network().str(), quoted(network->name.text)),
                             forward.listen_address.where, "use an address of the host that the outside knows");
}

}  // namespace

void validate_acls(Validation& validation) {
    for (const auto& acl : validation.stack.network_acls) {
        check_rules(validation, acl.ingress);
        check_rules(validation, acl.egress);
    }
}

void validate_forwards(Validation& validation) {
    std::map<std::string, const NetworkForward*> seen;
    for (const auto& forward : validation.stack.network_forwards) {
        const resource::Network* network = validation.network(forward.network.text);
        if (network == nullptr && !forward.network.empty())
            validation.error("unknown-network", fmt::format("no network {} is declared", quoted(forward.network.text)),
                             forward.network.where,
                             validation.suggestion(forward.network.text, validation.networks, "declare it under networks"));
        else if (network != nullptr && network->type.text != "bridge")
            validation.error("forward-network",
                             fmt::format("network {} is of type {}: only bridges have forwards", quoted(network->name.text),
                                         escaped(network->type.text)),
                             forward.network.where, "name a network of type bridge");
        if (const auto address = IpAddress::parse(forward.listen_address.text)) {
            const auto [first, is_new] = seen.emplace(address->str(), &forward);
            if (!is_new)
                validation.error("duplicate-forward",
                                 fmt::format("listen address {} is led on already, at {}", address->str(),
                                             first->second->listen_address.where.str()),
                                 forward.listen_address.where, "put all its ports into one network forward");
        }
        check_listen_address(validation, forward, network);
        UsedPorts used(validation);
        for (const ForwardPort& port : forward.ports) check_port(validation, forward, port, used);
        const Value* target = find_value(forward.config, "target_address");
        if (target != nullptr) (void)check_target(validation, forward, *target);
        else if (forward.ports.empty())
            validation.error("forward-empty", "the network forward leads nowhere", forward.where,
                             "add ports, or config: {target_address: ADDRESS}");
    }
}

}  // namespace ctl::model
