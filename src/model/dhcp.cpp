#include "model/dhcp.h"

#include <algorithm>

#include "base/text.h"
#include "model/lowering.h"
#include "model/value_types.h"

namespace ctl::model {

namespace {

constexpr std::int64_t shortest_lease = 120;
constexpr std::int64_t longest_lease = std::int64_t{10} * 365 * 24 * 3600;
constexpr unsigned slaac_prefix = 64;

std::int64_t seconds_of(char unit) {
    switch (unit) {
        case 's': return 1;
        case 'm': return 60;
        case 'h': return 3600;
        case 'd': return std::int64_t{24} * 3600;
        case 'w': return std::int64_t{7} * 24 * 3600;
        default: return 0;
    }
}

}  // namespace

std::optional<std::vector<AddressRange>> parse_ranges(std::string_view text) {
    std::vector<AddressRange> ranges;
    for (const auto member : parse_list(text)) {
        const std::size_t dash = member.find('-');
        if (dash == std::string_view::npos) return std::nullopt;
        const auto first = IpAddress::parse(trimmed(member.substr(0, dash)));
        const auto last = IpAddress::parse(trimmed(member.substr(dash + 1)));
        if (!first || !last || first->family != last->family || *last < *first) return std::nullopt;
        ranges.push_back({*first, *last});
    }
    return ranges;
}

bool is_lease_time(std::string_view text) {
    if (text == "infinite") return true;
    if (text.empty()) return false;
    const std::int64_t unit = seconds_of(text.back());
    const auto number = parse_uint(unit != 0 ? text.substr(0, text.size() - 1) : text, longest_lease);
    if (!number) return false;
    const std::int64_t factor = std::max<std::int64_t>(unit, 1);
    return *number <= longest_lease / factor && *number * factor >= shortest_lease;
}

bool is_domain(std::string_view text) {
    if (text.empty() || text.size() > 253) return false;
    for (const auto label : split(text, '.')) {
        if (label.empty() || label.size() > 63 || label.front() == '-' || label.back() == '-') return false;
        const bool is_good = std::all_of(label.begin(), label.end(), [](char c) {
            return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
        });
        if (!is_good) return false;
    }
    return true;
}

bool gives_addresses(const resource::Network& network, const Cidr& own) {
    if (network.type.text == "macvlan") return false;
    if (own.address.family == IpAddress::Family::v4)
        // In a smaller subnet there is nobody else.
        return bool_value(network.config, "ipv4.dhcp", true) && own.prefix <= 30;
    return bool_value(network.config, "ipv6.dhcp", true) && bool_value(network.config, "ipv6.dhcp.stateful", false) &&
           own.prefix >= slaac_prefix && own.prefix <= 126;
}

bool announces_prefix(const resource::Network& network, const Cidr& own) {
    if (network.type.text == "macvlan" || own.address.family != IpAddress::Family::v6) return false;
    return own.prefix == slaac_prefix || gives_addresses(network, own);
}

DnsMode dns_mode(const resource::Network& network) {
    const Value* mode = find_value(network.config, "dns.mode");
    if (mode == nullptr || mode->text == "managed") return DnsMode::managed;
    return mode->text == "dynamic" ? DnsMode::dynamic : DnsMode::none;
}

}  // namespace ctl::model
