#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace ctl::model {

/// An IPv4 or IPv6 address in network byte order. Ordered by family, then numerically.
struct IpAddress {
    enum class Family { v4, v6 };

    Family family = Family::v4;
    std::array<std::uint8_t, 16> bytes{};  ///< v4 uses the first four

    auto operator<=>(const IpAddress&) const = default;

    /// Dotted quad (four decimal parts, no leading zeros) or RFC 4291 text; nothing else, no zone, no prefix.
    [[nodiscard]] static std::optional<IpAddress> parse(std::string_view text);
    /// Canonical text: RFC 5952 for IPv6.
    [[nodiscard]] std::string str() const;
    [[nodiscard]] unsigned bits() const { return family == Family::v4 ? 32 : 128; }
};

/// An address with its prefix length, host bits kept: 10.0.3.1/24.
struct Cidr {
    IpAddress address;
    unsigned prefix = 0;

    auto operator<=>(const Cidr&) const = default;

    /// "ADDRESS/PREFIX"; without a prefix only if `bare_is_host` (then /32 or /128).
    [[nodiscard]] static std::optional<Cidr> parse(std::string_view text, bool bare_is_host = false);
    [[nodiscard]] std::string str() const;
    [[nodiscard]] bool contains(const IpAddress& other) const;
    [[nodiscard]] bool overlaps(const Cidr& other) const;
    /// The lowest address of the subnet (all host bits zero), with the same prefix.
    [[nodiscard]] Cidr network() const;
    /// The highest address of the subnet: IPv4's broadcast address.
    [[nodiscard]] IpAddress last() const;
};

[[nodiscard]] bool has_family(const std::set<Cidr>& addresses, IpAddress::Family family);
/// Each as ADDRESS/PREFIX.
[[nodiscard]] std::vector<std::string> texts_of(const std::set<Cidr>& addresses);

}  // namespace ctl::model
