#include "model/traffic.h"

#include <algorithm>

#include "model/value_types.h"

namespace ctl::model {

namespace {

constexpr std::int64_t last_port = 65535;

/// The next address; nothing after the last of the family.
std::optional<IpAddress> next(IpAddress address) {
    for (std::size_t i = address.bits() / 8; i-- > 0;)
        if (++address.bytes[i] != 0) return address;
    return std::nullopt;
}

bool touch(const AddressRange& a, const AddressRange& b) {
    if (a.family() != b.family()) return false;
    const auto after = next(a.last);
    return !after || b.first <= *after;
}

bool touch(const PortRange& a, const PortRange& b) { return b.first <= static_cast<unsigned>(a.last) + 1; }

template <typename Range>
std::vector<Range> merge(std::vector<Range> ranges) {
    std::sort(ranges.begin(), ranges.end());
    std::vector<Range> result;
    for (const Range& range : ranges) {
        if (!result.empty() && touch(result.back(), range)) result.back().last = std::max(result.back().last, range.last);
        else result.push_back(range);
    }
    return result;
}

template <typename Range>
std::optional<std::vector<Range>> parse_all(std::string_view list) {
    std::vector<Range> ranges;
    for (const auto part : parse_list(list)) {
        const auto range = Range::parse(part);
        if (!range) return std::nullopt;
        ranges.push_back(*range);
    }
    return ranges.empty() ? std::nullopt : std::optional(std::move(ranges));
}

}  // namespace

std::optional<AddressRange> AddressRange::parse(std::string_view text) {
    const std::size_t dash = text.find('-');
    if (dash == std::string_view::npos) {
        const auto subnet = Cidr::parse(text, true);
        return subnet ? std::optional(of(*subnet)) : std::nullopt;
    }
    const auto first = IpAddress::parse(text.substr(0, dash));
    const auto last = IpAddress::parse(text.substr(dash + 1));
    if (!first || !last || first->family != last->family || *last < *first) return std::nullopt;
    return AddressRange{*first, *last};
}

std::optional<Cidr> AddressRange::as_subnet() const {
    for (unsigned prefix = 0; prefix <= first.bits(); ++prefix) {
        const Cidr subnet{first, prefix};
        if (subnet.network().address == first && subnet.last() == last) return subnet;
    }
    return std::nullopt;
}

std::optional<PortRange> PortRange::parse(std::string_view text) {
    const std::size_t dash = text.find('-');
    const auto first = parse_int(text.substr(0, dash), 1, last_port);
    const auto last = dash == std::string_view::npos ? first : parse_int(text.substr(dash + 1), 1, last_port);
    if (!first || !last || *last < *first) return std::nullopt;
    return PortRange{static_cast<std::uint16_t>(*first), static_cast<std::uint16_t>(*last)};
}

std::optional<std::vector<AddressRange>> parse_addresses(std::string_view list) { return parse_all<AddressRange>(list); }
std::optional<std::vector<PortRange>> parse_ports(std::string_view list) { return parse_all<PortRange>(list); }

std::vector<AddressRange> merged(std::vector<AddressRange> ranges) { return merge(std::move(ranges)); }
std::vector<PortRange> merged(std::vector<PortRange> ranges) { return merge(std::move(ranges)); }

}  // namespace ctl::model
