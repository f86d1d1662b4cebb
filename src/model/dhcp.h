#pragma once

#include <chrono>
#include <optional>
#include <string_view>
#include <vector>

#include "model/ip.h"
#include "model/resource.h"
#include "model/traffic.h"

// What a network's DHCP and DNS keys say: read alike by validation and lowering.

namespace ctl::model {

/// "FIRST-LAST,…" with blanks around either; nothing when one is no range of one family that goes upwards.
[[nodiscard]] std::optional<std::vector<AddressRange>> parse_ranges(std::string_view text);

/// How long a lease lasts, as dnsmasq writes it: a number of seconds, or one with m, h, d or w, or infinite. Two minutes is
/// the least that it keeps to.
[[nodiscard]] bool is_lease_time(std::string_view text);

/// A domain name: labels of letters, digits, dashes and underscores, with dots between them.
[[nodiscard]] bool is_domain(std::string_view text);

/// Whether the network gives addresses of the family to whom asks for one; `own` is its address in that family.
[[nodiscard]] bool gives_addresses(const resource::Network& network, const Cidr& own);

/// Whether the network tells IPv6 hosts its prefix, so that they choose an address themselves or know to ask for one.
[[nodiscard]] bool announces_prefix(const resource::Network& network, const Cidr& own);

/// Whose names a network serves.
enum class DnsMode {
    managed,  ///< those of the manifest
    dynamic,  ///< those that clients ask for
    none,     ///< nobody's: it only passes questions on
};
[[nodiscard]] DnsMode dns_mode(const resource::Network& network);

}  // namespace ctl::model
