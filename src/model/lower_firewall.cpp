#include "model/lower_firewall.h"

#include <algorithm>

#include <fmt/format.h>

#include "model/value_types.h"

namespace ctl::model {

namespace {

using Family = IpAddress::Family;
using resource::Network;

constexpr std::string_view before_others = "nat hook postrouting priority srcnat - 5";
constexpr std::string_view after_others = "nat hook postrouting priority srcnat + 5";
constexpr std::string_view prerouting = "nat hook prerouting priority dstnat";
constexpr std::string_view nat_output = "nat hook output priority -100";

std::string key_of(Family family, std::string_view key) {
    return fmt::format("{}.{}", family == Family::v4 ? "ipv4" : "ipv6", key);
}

/// What is known of the network's traffic of one family.
struct Side {
    Family family;
    Cidr subnet;
    bool nat = false;
    bool firewall = true;
};

class NetworkFirewall {
public:
    NetworkFirewall(Lowering& lowering, const Network& network) : lowering_(lowering), network_(network) {
        for (const Family family : {Family::v4, Family::v6}) {
            const auto subnet = own_address(lowering, network.name.text, family);
            if (!subnet) continue;
            sides_.push_back({family, *subnet, translates(lowering, network, family),
                              bool_value(network.config, key_of(family, "firewall"), true)});
        }
    }

    void lower() {
        for (const Side& side : sides_) {
            refuse_routing(side);
            lower_forwards(side);
            lower_nat(side);
        }
        const bool has_acls = lower_acls(lowering_, network_, chains_);
        if (!has_acls)
            for (const Side& side : sides_) close_to_others(side);
        for (const Side& side : sides_) let_through(side);
        if (chains_.empty()) return;
        NftTable table{.family = "inet", .chains = chains_.take()};
        const ResourceRef owner{lowering_.stack.name, "Network", network_.name.text};
        Entry& entry = lowering_.add({ObjectKind::nft_table, "ctl_" + network_.name.text}, std::move(table), owner,
                                     network_.name.where);
        if (place_.is_known()) entry.places["chains"] = place_;
    }

private:
    [[nodiscard]] const Value* value(Family family, std::string_view key) const {
        return find_value(network_.config, key_of(family, key));
    }

    [[nodiscard]] std::string interface() const { return nft::interface(network_.name.text); }

    void remember(const Value* value) {
        if (value != nullptr && !place_.is_known()) place_ = value->where;
    }

    void lower_nat(const Side& side) {
        if (!side.nat) return;
        remember(value(side.family, "nat"));
        const Value* order = value(side.family, "nat.order");
        const bool is_after = order != nullptr && order->text == "after";
        const std::string chain = is_after ? "postrouting_after" : "postrouting";
        chains_.base(chain, is_after ? after_others : before_others);
        const Value* source = value(side.family, "nat.address");
        const auto address = source != nullptr ? IpAddress::parse(source->text) : std::nullopt;
        const std::string_view ip = nft::family_word(side.family);
        chains_.rule(chain, fmt::format("{0} saddr {1} {0} daddr != {1} {2}", ip, side.subnet.network().str(),
                                        address ? fmt::format("snat {} to {}", ip, address->str()) : "masquerade"));
    }

    [[nodiscard]] bool routes(const Side& side) const {
        return bool_value(network_.config, key_of(side.family, "routing"), true);
    }

    /// The kernel's own switch concerns what comes from the network only, and of IPv6 all interfaces at once.
    void refuse_routing(const Side& side) {
        if (routes(side) || !side.firewall) return;
        remember(value(side.family, "routing"));
        chains_.base("forward", "filter hook forward priority filter");
        const std::string_view protocol = side.family == Family::v4 ? "ipv4" : "ipv6";
        // What stays on the bridge may pass here too, on hosts that have bridged frames filtered.
        chains_.rule("forward", fmt::format("iifname {0} oifname != {0} meta nfproto {1} drop", interface(), protocol));
        chains_.rule("forward", fmt::format("iifname != {0} oifname {0} meta nfproto {1} drop", interface(), protocol));
    }

    /// Who translates the addresses of its containers does not show them to others: new connections from outside are for
    /// forwards and ACLs to let in.
    void close_to_others(const Side& side) {
        if (!side.nat || !side.firewall) return;
        chains_.base("forward", "filter hook forward priority filter");
        const std::string to = fmt::format("iifname != {0} oifname {0} {1} daddr {2}", interface(),
                                           nft::family_word(side.family), side.subnet.network().str());
        chains_.rule("forward", to + " ct state established,related accept");
        chains_.rule("forward", to + " ct status dnat accept");
        chains_.rule("forward", to + " drop");
    }

    /// Answers come in by whatever interface leads out, and that has to forward too.
    void let_through(const Side& side) {
        if (!routes(side)) return;
        const std::string name = side.family == Family::v4 ? "net.ipv4.ip_forward" : "net.ipv6.conf.all.forwarding";
        const ResourceRef owner{lowering_.stack.name, "Network", network_.name.text};
        // Several networks of the stack want it; the first by name owns it, or taking one of them out would be a change.
        if (lowering_.desired.contains({ObjectKind::sysctl, name})) return;
        lowering_.add({ObjectKind::sysctl, name}, Sysctl{.value = "1"}, owner, network_.name.where).borrowed = true;
    }

    void lower_forwards(const Side& side) {
        std::map<IpAddress, const resource::NetworkForward*> forwards;
        for (const auto& forward : lowering_.stack.network_forwards) {
            const auto address = IpAddress::parse(forward.listen_address.text);
            if (forward.network.text == network_.name.text && address && address->family == side.family)
                forwards.emplace(*address, &forward);
        }
        for (const auto& [address, forward] : forwards) {
            remember(&forward->listen_address);
            for (const auto& port : forward->ports) lower_port(side, address, port);
            const Value* target = find_value(forward->config, "target_address");
            if (const auto to = target != nullptr ? IpAddress::parse(target->text) : std::nullopt)
                translate(side, address, "", *to, "");
        }
        if (targets_.empty()) return;
        // A container that asks for the forward's address would get its answer from its neighbour by the neighbour's own.
        chains_.base("postrouting", before_others);
        const std::string_view ip = nft::family_word(side.family);
        chains_.rule("postrouting", fmt::format("{0} saddr {1} {0} daddr {2} ct status dnat masquerade", ip,
                                                side.subnet.network().str(), nft::addresses(targets_)));
        targets_.clear();
    }

    void lower_port(const Side& side, const IpAddress& listen, const resource::ForwardPort& port) {
        const auto from = parse_ports(port.listen_port.text);
        const auto target = IpAddress::parse(port.target_address.text);
        if (!from || !target || port.protocol.empty()) return;
        const auto to = parse_ports(port.target_port.text);
        const auto match = [&](std::vector<PortRange> ports) {
            return fmt::format(" {} dport {}", port.protocol.text, nft::ports(std::move(ports)));
        };
        if (!to) return translate(side, listen, match(*from), *target, "");
        if (to->size() == 1 && to->front().count() == 1)
            return translate(side, listen, match(*from), *target, std::to_string(to->front().first));
        const auto listed = each_of(*from);
        const auto targets = each_of(*to);
        for (std::size_t i = 0; i < listed.size() && i < targets.size(); ++i)
            translate(side, listen, match({{listed[i], listed[i]}}), *target, std::to_string(targets[i]));
    }

    static std::vector<std::uint16_t> each_of(const std::vector<PortRange>& ranges) {
        std::vector<std::uint16_t> ports;
        for (const PortRange& range : ranges)
            for (unsigned port = range.first; port <= range.last; ++port) ports.push_back(static_cast<std::uint16_t>(port));
        return ports;
    }

    void translate(const Side& side, const IpAddress& listen, std::string_view match, const IpAddress& target,
                   std::string_view port) {
        targets_.push_back({target, target});
        const std::string_view ip = nft::family_word(side.family);
        std::string to = target.str();
        if (!port.empty())
            to = side.family == Family::v4 ? fmt::format("{}:{}", to, port) : fmt::format("[{}]:{}", to, port);
        const std::string rule = fmt::format("{0} daddr {1}{2} dnat {0} to {3}", ip, listen.str(), match, to);
        chains_.base("prerouting", prerouting);
        chains_.rule("prerouting", rule);
        chains_.base("output_nat", nat_output);
        chains_.rule("output_nat", rule);
    }

    Lowering& lowering_;
    const Network& network_;
    std::vector<Side> sides_;
    std::vector<AddressRange> targets_;
    nft::Chains chains_;
    SourceSpan place_;
};

}  // namespace

bool translates(const Lowering& lowering, const Network& network, Family family) {
    if (network.type.text != "bridge" || !own_address(lowering, network.name.text, family)) return false;
    const Value* address = find_value(network.config, key_of(family, "address"));
    return bool_value(network.config, key_of(family, "nat"), address == nullptr || address->text == "auto");
}

void lower_firewall(Lowering& lowering, const Network& network) {
    if (network.type.text != "bridge") return;
    NetworkFirewall(lowering, network).lower();
    lower_port_security(lowering, network);
}

}  // namespace ctl::model
