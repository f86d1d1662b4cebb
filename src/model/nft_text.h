#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "model/object.h"
#include "model/traffic.h"

// Words of nft's language, spelled as `nft list` prints them, so that a table that is read back equals the one that was
// written. Each takes a checked value, never text of a person's: nothing here can break out of its place.

namespace ctl::model::nft {

/// "ip" or "ip6".
[[nodiscard]] std::string_view family_word(IpAddress::Family family);

/// An interface's name in quotes; it must be one (is_interface_name).
[[nodiscard]] std::string interface(std::string_view name);

/// `10.0.0.0/24`, `10.0.0.1-10.0.0.9` or `{ 10.0.0.1, 10.0.2.0/23 }`; of one family, not empty.
[[nodiscard]] std::string addresses(std::vector<AddressRange> ranges);
/// `80`, `80-90` or `{ 80, 90-99 }`; not empty.
[[nodiscard]] std::string ports(std::vector<PortRange> ranges);

/// `icmp type echo-request`, `icmpv6 type 200`.
[[nodiscard]] std::string icmp_type(IpAddress::Family family, unsigned type);
/// `icmp type { … }` of several, ascending.
[[nodiscard]] std::string icmp_types(IpAddress::Family family, const std::vector<unsigned>& types);
[[nodiscard]] std::string icmp_code(IpAddress::Family family, unsigned code);

/// `0x163e000001`: bytes as a number, without leading zeros.
[[nodiscard]] std::string number(std::string_view mac);

/// `log prefix "web ingress 1: "`; characters that could end the text are replaced.
[[nodiscard]] std::string log(std::string_view prefix);

/// `iifname vmap { "a" : jump x, … }` in the kernel's order; interface → chain, not empty.
[[nodiscard]] std::string dispatch(const std::map<std::string, std::string>& chains);

/// Chains in the making.
class Chains {
public:
    /// Begins a chain that the kernel calls: `hook` is "nat hook prerouting priority dstnat". Nothing if it has begun.
    void base(const std::string& chain, std::string_view hook);
    /// Adds a line.
    void rule(const std::string& chain, std::string line);

    [[nodiscard]] bool empty() const { return chains_.empty(); }
    [[nodiscard]] std::map<std::string, std::string> take() { return std::move(chains_); }

private:
    std::map<std::string, std::string> chains_;
};

}  // namespace ctl::model::nft
