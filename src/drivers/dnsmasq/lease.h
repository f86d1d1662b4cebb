#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ctl::drivers::dnsmasq {

/// A line of dnsmasq's lease file.
struct Lease {
    std::int64_t expires = 0;  ///< seconds since 1970; 0: never
    std::string mac;           ///< lower-case, colons; of a DHCPv6 lease its identity association, decimal
    std::string address;
    std::string name;    ///< "" for none
    std::string client;  ///< the client's identifier, hex bytes with colons; "" for none

    bool operator==(const Lease&) const = default;
};

/// The leases in the file's text. dnsmasq writes it in place: a line that is not whole (yet) is left out.
[[nodiscard]] std::vector<Lease> parse_leases(std::string_view text);

/// For people: "10.0.3.66 web 00:16:3e:… until 2026-01-31T12:00:00Z".
[[nodiscard]] std::string to_text(const Lease& lease);

}  // namespace ctl::drivers::dnsmasq
