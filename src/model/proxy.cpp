#include "model/proxy.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/text.h"
#include "model/nft_text.h"
#include "model/nic_types.h"

namespace ctl::model {

namespace {

using Family = IpAddress::Family;
using resource::Device;

constexpr std::size_t longest_socket_path = 107;
constexpr std::size_t most_ports = 2048;

std::optional<std::vector<std::uint16_t>> read_ports(std::string_view text) {
    const auto ranges = parse_ports(text);
    if (!ranges) return std::nullopt;
    std::vector<std::uint16_t> ports;
    for (const auto& range : *ranges) {
        if (ports.size() + range.count() > most_ports) return std::nullopt;
        for (unsigned port = range.first; port <= range.last; ++port) ports.push_back(static_cast<std::uint16_t>(port));
    }
    return ports;
}

std::optional<ProxyEnd> end_of(const Device& device, std::string_view key) {
    return ProxyEnd::parse(text_value(device.keys, key));
}

bool binds_in_container(const Device& device) {
    const std::string bind = text_value(device.keys, "bind");
    return !bind.empty() && bind != "host";
}

/// The fixed addresses of the container's NICs.
std::vector<IpAddress> fixed_addresses(const resource::Container& container) {
    std::vector<IpAddress> addresses;
    for (const auto& [name, device] : container.devices) {
        if (device.type.text != "nic") continue;
        for (const auto* key : {"ipv4.address", "ipv6.address"}) {
            const std::string all = text_value(device.keys, key);
            for (const auto text : split(all, ',')) {
                const auto plain = trimmed(text);
                if (const auto address = IpAddress::parse(plain.substr(0, plain.find('/')))) addresses.push_back(*address);
            }
        }
    }
    return addresses;
}

/// Where translated connections go: the address that is named, or the container's own of the family.
std::optional<IpAddress> nat_target(const resource::Container& container, const ProxyEnd& listen, const ProxyEnd& connect) {
    for (const auto& address : fixed_addresses(container))
        if (address.family == listen.address->family && (connect.is_wildcard() || address == connect.address))
            return address;
    return std::nullopt;
}

class ProxyCheck {
public:
    ProxyCheck(Validation& validation, const resource::Container& container, const std::string& name, const Device& device)
        : validation_(validation), container_(container), name_(name), device_(device) {}

    void run() {
        const auto listen = read("listen");
        const auto connect = read("connect");
        if (!listen || !connect) return;
        const std::size_t listening = std::max<std::size_t>(listen->ports.size(), 1);
        const std::size_t connecting = std::max<std::size_t>(connect->ports.size(), 1);
        if (connecting != 1 && connecting != listening)
            refuse("connect", fmt::format("{} ports listen and {} are connected to", listening, connecting),
                   "name one port to connect to, or as many as listen");
        if ((listen->protocol == "udp") != (connect->protocol == "udp"))
            refuse("connect", "datagrams can only be handed on as datagrams", "write udp: on both sides, or on neither");
        check_socket_file(*listen);
        if (bool_value(device_.keys, "proxy_protocol", false) && connect->protocol != "tcp")
            refuse("proxy_protocol", "the PROXY header is for TCP", "leave it out, or connect to tcp:");
        if (bool_value(device_.keys, "nat", false)) check_nat(*listen, *connect);
    }

private:
    std::optional<ProxyEnd> read(const char* key) {
        if (find_value(device_.keys, key) == nullptr) {
            validation_.error("missing-key", fmt::format("device {} of type proxy has no {}", quoted(name_), key),
                              device_.where, fmt::format("add {}: tcp:127.0.0.1:80", key));
            return std::nullopt;
        }
        auto end = end_of(device_, key);
        if (!end)
            refuse(key, fmt::format("{} is no place to {} to", quoted(text_value(device_.keys, key)), key),
                   "write tcp:ADDRESS:PORT, udp:ADDRESS:PORT (with ranges and lists of ports) or unix:/PATH");
        return end;
    }

    void refuse(const char* key, const std::string& message, const std::string& hint) {
        const Value* value = find_value(device_.keys, key);
        validation_.value_error("bad-proxy", fmt::format("device {}: {}", quoted(name_), message),
                                value != nullptr ? value->where : device_.where, hint);
    }

    void check_socket_file(const ProxyEnd& listen) {
        const bool is_file = listen.protocol == "unix" && !listen.path.starts_with('@');
        for (const auto* key : {"mode", "uid", "gid"})
            if (!is_file && find_value(device_.keys, key) != nullptr)
                refuse(key,
                       fmt::format("{} is of a socket in the file system, and it listens on {}", key,
                                   quoted(text_value(device_.keys, "listen"))),
                       fmt::format("take {} out", key));
    }

    void check_nat(const ProxyEnd& listen, const ProxyEnd& connect) {
        if (listen.protocol == "unix" || listen.protocol != connect.protocol)
            return refuse("nat", "addresses can only be translated from tcp to tcp or from udp to udp", "leave nat out");
        if (binds_in_container(device_)) refuse("bind", "with nat it listens on the host", "write bind: host");
        if (bool_value(device_.keys, "proxy_protocol", false))
            refuse("proxy_protocol", "with nat nobody is there to send the PROXY header", "leave one of the two out");
        if (listen.is_wildcard())
            return refuse("listen", "with nat it has to listen on an address of the host", "name that address");
        if (listen.address->family != connect.address->family)
            return refuse("connect", "with nat both addresses have to be of one family", "write IPv4 or IPv6 on both sides");
        if (!nat_target(container_, listen, connect))
            refuse("connect",
                   fmt::format("with nat it has to lead to a fixed address of a NIC of container {}",
                               quoted(container_.name.text)),
                   "give a NIC ipv4.address (or ipv6.address) and connect to that, or to 0.0.0.0");
    }

    Validation& validation_;
    const resource::Container& container_;
    const std::string& name_;
    const Device& device_;
};

std::string nat_rule(const ProxyEnd& listen, const std::string& ports, const IpAddress& target,
                     std::optional<unsigned> port) {
    const std::string_view ip = nft::family_word(target.family);
    std::string to = target.str();
    if (port) to = target.family == Family::v4 ? fmt::format("{}:{}", to, *port) : fmt::format("[{}]:{}", to, *port);
    return fmt::format("{0} daddr {1} {2} dport {3} dnat {0} to {4}", ip, listen.address->str(), listen.protocol, ports, to);
}

void add_nat(nft::Chains& chains, const resource::Container& container, const ProxyEnd& listen, const ProxyEnd& connect) {
    const auto target = nat_target(container, listen, connect);
    if (!target) return;
    std::vector<std::string> rules;
    std::vector<PortRange> ranges;
    for (const auto port : listen.ports) ranges.push_back({port, port});
    if (listen.ports == connect.ports) {
        rules.push_back(nat_rule(listen, nft::ports(merged(ranges)), *target, std::nullopt));
    } else if (connect.ports.size() == 1) {
        rules.push_back(nat_rule(listen, nft::ports(merged(ranges)), *target, connect.ports.front()));
    } else {
        for (std::size_t i = 0; i < listen.ports.size() && i < connect.ports.size(); ++i)
            rules.push_back(nat_rule(listen, std::to_string(listen.ports[i]), *target, connect.ports[i]));
    }
    chains.base("prerouting", "nat hook prerouting priority dstnat");
    chains.base("output_nat", "nat hook output priority -100");
    chains.base("postrouting", "nat hook postrouting priority srcnat - 5");
    for (const auto& rule : rules) {
        chains.rule("prerouting", rule);
        chains.rule("output_nat", rule);
    }
    // One that asks for the host's address and is handed on to itself wouldn't know the answer for one.
    const std::string_view ip = nft::family_word(target->family);
    chains.rule("postrouting", fmt::format("{0} saddr {1} {0} daddr {1} ct status dnat masquerade", ip, target->str()));
}

Proxy proxy_of(const Device& device) {
    Proxy proxy;
    proxy.listen = text_value(device.keys, "listen");
    proxy.connect = text_value(device.keys, "connect");
    proxy.bind = binds_in_container(device) ? "container" : "host";
    proxy.options.emplace();
    for (const auto* key : {"proxy_protocol", "mode", "uid", "gid", "security.uid", "security.gid"})
        if (const Value* value = find_value(device.keys, key)) proxy.options->emplace(key, value->text);
    proxy.running = true;
    return proxy;
}

}  // namespace

bool ProxyEnd::is_wildcard() const { return address && (address->str() == "0.0.0.0" || address->str() == "::"); }

std::optional<ProxyEnd> ProxyEnd::parse(std::string_view text) {
    const std::size_t colon = text.find(':');
    if (colon == std::string_view::npos) return std::nullopt;
    ProxyEnd end;
    end.protocol = text.substr(0, colon);
    const std::string_view rest = text.substr(colon + 1);
    if (end.protocol == "unix") {
        const bool named = rest.starts_with('/') || (rest.starts_with('@') && rest.size() > 1);
        if (!named || rest.size() > longest_socket_path) return std::nullopt;
        if (std::any_of(rest.begin(), rest.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; }))
            return std::nullopt;
        end.path = rest;
        return end;
    }
    const std::size_t last = rest.rfind(':');
    if ((end.protocol != "tcp" && end.protocol != "udp") || last == std::string_view::npos) return std::nullopt;
    std::string_view address = rest.substr(0, last);
    const bool bracketed = address.starts_with('[') && address.ends_with(']');
    if (bracketed) address = address.substr(1, address.size() - 2);
    end.address = IpAddress::parse(address);
    const auto ports = read_ports(rest.substr(last + 1));
    if (!end.address || !ports || bracketed != (end.address->family == Family::v6)) return std::nullopt;
    end.ports = *ports;
    return end;
}

void validate_proxy(Validation& validation, const resource::Container& container, const std::string& device_name,
                    const Device& device) {
    ProxyCheck(validation, container, device_name, device).run();
}

void lower_proxies(Lowering& lowering, const resource::Container& container) {
    const ResourceRef owner{lowering.stack.name, "Container", container.name.text};
    const Need runs{{ObjectKind::container, container.name.text}, Bond::order};
    nft::Chains chains;
    SourceSpan where;
    for (const auto& [name, device] : container.devices) {
        if (device.type.text != "proxy") continue;
        const auto listen = end_of(device, "listen");
        const auto connect = end_of(device, "connect");
        if (!listen || !connect) continue;
        if (bool_value(device.keys, "nat", false)) {
            add_nat(chains, container, *listen, *connect);
            where = device.where;
            continue;
        }
        const ObjectId id{ObjectKind::proxy, fmt::format("{}:{}", container.name.text, name)};
        Entry& entry = lowering.add(id, proxy_of(device), owner, device.where);
        entry.needs = {runs, {{ObjectKind::netns, container.name.text}, Bond::rebuild}};
        entry.lifecycle.prune = container.lifecycle.prune;
    }
    if (chains.empty()) return;
    const ObjectId id{ObjectKind::nft_table, "ctl_proxy_" + container.name.text};
    Entry& entry = lowering.add(id, NftTable{.family = "inet", .chains = chains.take()}, owner, where);
    entry.needs = {runs};
    entry.lifecycle.prune = container.lifecycle.prune;
}

}  // namespace ctl::model
