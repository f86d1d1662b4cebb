#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/ip.h"

// What rules about traffic are made of: ranges of addresses and of ports.

namespace ctl::model {

/// Addresses of one family from first to last, both included.
struct AddressRange {
    IpAddress first;
    IpAddress last;

    auto operator<=>(const AddressRange&) const = default;

    /// An address, a CIDR (its whole subnet) or FIRST-LAST in ascending order.
    [[nodiscard]] static std::optional<AddressRange> parse(std::string_view text);
    [[nodiscard]] static AddressRange of(const Cidr& subnet) { return {subnet.network().address, subnet.last()}; }
    [[nodiscard]] IpAddress::Family family() const { return first.family; }
    /// The subnet that these are all the addresses of.
    [[nodiscard]] std::optional<Cidr> as_subnet() const;
};

/// Ports from first to last, both included.
struct PortRange {
    std::uint16_t first = 0;
    std::uint16_t last = 0;

    auto operator<=>(const PortRange&) const = default;

    /// "80" or "8000-8010", from 1 to 65535, ascending.
    [[nodiscard]] static std::optional<PortRange> parse(std::string_view text);
    [[nodiscard]] unsigned count() const { return 1U + last - first; }
};

/// The members of a comma list. Nothing if one of them is none, or there is none at all.
[[nodiscard]] std::optional<std::vector<AddressRange>> parse_addresses(std::string_view list);
[[nodiscard]] std::optional<std::vector<PortRange>> parse_ports(std::string_view list);

/// Sorted, with those that overlap or touch made one.
[[nodiscard]] std::vector<AddressRange> merged(std::vector<AddressRange> ranges);
[[nodiscard]] std::vector<PortRange> merged(std::vector<PortRange> ranges);

}  // namespace ctl::model
