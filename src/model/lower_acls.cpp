#include <array>
#include <optional>

#include <fmt/format.h>

#include "model/lower_firewall.h"
#include "model/value_types.h"

namespace ctl::model {

namespace {

using Family = IpAddress::Family;
using resource::AclRule;

constexpr const char* acl_chain = "acl";
constexpr std::string_view forward_hook = "filter hook forward priority filter";
constexpr std::string_view input_hook = "filter hook input priority filter";
constexpr std::string_view output_hook = "filter hook output priority filter";

std::vector<AddressRange> of_family(const std::vector<AddressRange>& ranges, Family family) {
    std::vector<AddressRange> result;
    for (const auto& range : ranges)
        if (range.family() == family) result.push_back(range);
    return result;
}

/// One direction of the traffic that passes the host: `match` is how its packets are recognised.
struct Direction {
    std::string_view name;
    std::string match;
    const std::vector<AclRule> resource::NetworkAcl::*rules;
};

class AclLowering {
public:
    AclLowering(const resource::Network& network, nft::Chains& chains) : network_(network), chains_(chains) {}

    void lower(const std::vector<const resource::NetworkAcl*>& acls) {
        chains_.rule(acl_chain, "ct state established,related accept");
        const std::string interface = nft::interface(network_.name.text);
        const std::array directions{Direction{"egress", "iifname " + interface, &resource::NetworkAcl::egress},
                                    Direction{"ingress", "oifname " + interface, &resource::NetworkAcl::ingress}};
        for (const std::string_view action : {"drop", "reject", "allow"})
            for (const Direction& direction : directions)
                for (const auto* acl : acls) add_rules(direction, *acl, action);
        for (const Direction& direction : directions) add_default(direction);
        jump(directions[0].match, directions[1].match);
    }

private:
    void add_rules(const Direction& direction, const resource::NetworkAcl& acl, std::string_view action) {
        unsigned number = 0;
        for (const AclRule& rule : acl.*(direction.rules)) {
            ++number;
            if (rule.action.text != action || rule.state.text == "disabled") continue;
            const std::string log =
                rule.state.text == "logged"
                    ? nft::log(fmt::format("{} {} {} {}: ", network_.name.text, acl.name.text, direction.name, number)) + " "
                    : std::string();
            add(direction, rule, log);
        }
    }

    /// A rule speaks of the families that all it names have in common.
    void add(const Direction& direction, const AclRule& rule, const std::string& log) {
        const auto source = parse_addresses(rule.source.text);
        const auto destination = parse_addresses(rule.destination.text);
        const std::string protocol = rule.protocol.text;
        if (!source && !destination) {
            const auto family = protocol == "icmp4"   ? std::optional(Family::v4)
                                : protocol == "icmp6" ? std::optional(Family::v6)
                                                      : std::nullopt;
            // Only the name of an ICMP type, not that of its protocol, tells nft which family it is.
            const bool is_told = family && !rule.icmp_type.empty();
            add_line(direction.match + protocol_match(rule, family), log, rule.action.text, is_told ? family : std::nullopt);
            return;
        }
        for (const Family family : {Family::v4, Family::v6}) {
            if (protocol == (family == Family::v4 ? "icmp6" : "icmp4")) continue;
            std::string match = direction.match;
            const auto from = source ? of_family(*source, family) : std::vector<AddressRange>();
            const auto to = destination ? of_family(*destination, family) : std::vector<AddressRange>();
            if ((source && from.empty()) || (destination && to.empty())) continue;
            const std::string_view ip = nft::family_word(family);
            if (source) match += fmt::format(" {} saddr {}", ip, nft::addresses(from));
            if (destination) match += fmt::format(" {} daddr {}", ip, nft::addresses(to));
            add_line(match + protocol_match(rule, family), log, rule.action.text, family);
        }
    }

    static std::string protocol_match(const AclRule& rule, std::optional<Family> family) {
        const std::string& protocol = rule.protocol.text;
        if (protocol.empty()) return {};
        if (protocol == "icmp4" || protocol == "icmp6") {
            const auto type = parse_uint(rule.icmp_type.text, 255);
            const auto code = parse_uint(rule.icmp_code.text, 255);
            if (!type) return protocol == "icmp4" ? " meta l4proto icmp" : " meta l4proto ipv6-icmp";
            std::string match = " " + nft::icmp_type(*family, static_cast<unsigned>(*type));
            if (code) match += " " + nft::icmp_code(*family, static_cast<unsigned>(*code));
            return match;
        }
        const auto from = parse_ports(rule.source_port.text);
        const auto to = parse_ports(rule.destination_port.text);
        if (!from && !to) return fmt::format(" meta l4proto {}", protocol);
        std::string match;
        if (from) match += fmt::format(" {} sport {}", protocol, nft::ports(*from));
        if (to) match += fmt::format(" {} dport {}", protocol, nft::ports(*to));
        return match;
    }

    void add_default(const Direction& direction) {
        const std::string key = fmt::format("security.acls.default.{}.", direction.name);
        const Value* action = find_value(network_.config, key + "action");
        const std::string log = bool_value(network_.config, key + "logged", false)
                                    ? nft::log(fmt::format("{} default {}: ", network_.name.text, direction.name)) + " "
                                    : std::string();
        add_line(direction.match, log, action != nullptr ? action->text : "reject", std::nullopt);
    }

    void add_line(const std::string& match, const std::string& log, std::string_view action, std::optional<Family> family) {
        std::string_view verdict = action == "allow" ? "accept" : action;
        if (verdict == "reject" && family)
            verdict = *family == Family::v4 ? "reject with icmp port-unreachable" : "reject with icmpv6 port-unreachable";
        chains_.rule(acl_chain, fmt::format("{} {}{}", match, log, verdict));
    }

    /// No list can cut the network off from what the host serves it: DHCP, DNS and the ICMP that keeps addresses working.
    void jump(const std::string& from, const std::string& to) {
        chains_.base("forward", forward_hook);
        // Where br_netfilter shows bridged frames to the firewall, neighbours' traffic comes by, too: from the bridge to
        // itself.
        const std::string interface = nft::interface(network_.name.text);
        chains_.rule("forward", fmt::format("{} oifname != {} jump {}", from, interface, acl_chain));
        chains_.rule("forward", fmt::format("iifname != {} {} jump {}", interface, to, acl_chain));
        chains_.base("input", input_hook);
        serve(from, "input", "dport", {1, 2, 3, 4, 133, 135, 136, 143});
        chains_.rule("input", fmt::format("{} jump {}", from, acl_chain));
        chains_.base("output", output_hook);
        serve(to, "output", "sport", {1, 2, 3, 4, 130, 134, 135, 136, 143});
        chains_.rule("output", fmt::format("{} jump {}", to, acl_chain));
    }

    void serve(const std::string& match, const std::string& chain, std::string_view port,
               const std::vector<unsigned>& icmp6) {
        chains_.rule(chain, fmt::format("{} tcp {} 53 accept", match, port));
        chains_.rule(chain, fmt::format("{} udp {} {{ 53, 67, 547 }} accept", match, port));
        chains_.rule(chain, fmt::format("{} {} accept", match, nft::icmp_types(Family::v4, {3, 11, 12})));
        chains_.rule(chain, fmt::format("{} {} accept", match, nft::icmp_types(Family::v6, icmp6)));
    }

    const resource::Network& network_;
    nft::Chains& chains_;
};

}  // namespace

bool lower_acls(const Lowering& lowering, const resource::Network& network, nft::Chains& chains) {
    const Value* names = find_value(network.config, "security.acls");
    if (names == nullptr) return false;
    std::vector<const resource::NetworkAcl*> acls;
    for (const auto name : parse_list(names->text))
        for (const auto& acl : lowering.stack.network_acls)
            if (acl.name.text == name) acls.push_back(&acl);
    AclLowering(network, chains).lower(acls);
    return true;
}

}  // namespace ctl::model
