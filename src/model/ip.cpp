#include "model/ip.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>

namespace ctl::model {

std::optional<IpAddress> IpAddress::parse(std::string_view text) {
    // inet_pton wants a terminated string; no address is longer than INET6_ADDRSTRLEN.
    if (text.empty() || text.size() >= INET6_ADDRSTRLEN || text.find('\0') != std::string_view::npos) return std::nullopt;
    const std::string terminated(text);
    IpAddress address;
    if (::inet_pton(AF_INET, terminated.c_str(), address.bytes.data()) == 1) return address;
    address.family = Family::v6;
    if (::inet_pton(AF_INET6, terminated.c_str(), address.bytes.data()) == 1) return address;
    return std::nullopt;
}

std::string IpAddress::str() const {
    char buffer[INET6_ADDRSTRLEN];
    return ::inet_ntop(family == Family::v4 ? AF_INET : AF_INET6, bytes.data(), buffer, sizeof buffer);
}

std::optional<Cidr> Cidr::parse(std::string_view text, bool bare_is_host) {
    const std::size_t slash = text.find('/');
    const auto address = IpAddress::parse(text.substr(0, slash));
    if (!address) return std::nullopt;
    if (slash == std::string_view::npos) return bare_is_host ? std::optional(Cidr{*address, address->bits()}) : std::nullopt;
    const std::string_view digits = text.substr(slash + 1);
    unsigned prefix = 0;
    const auto [end, failure] = std::from_chars(digits.data(), digits.data() + digits.size(), prefix);
    if (failure != std::errc() || end != digits.data() + digits.size() || prefix > address->bits()) return std::nullopt;
    return Cidr{*address, prefix};
}

std::string Cidr::str() const { return address.str() + "/" + std::to_string(prefix); }

namespace {

/// Sets every bit behind the first `prefix` ones to `value`.
IpAddress with_host_bits(IpAddress address, unsigned prefix, bool value) {
    for (unsigned bit = prefix; bit < address.bits(); ++bit) {
        const auto mask = static_cast<std::uint8_t>(0x80U >> (bit % 8));
        auto& byte = address.bytes[bit / 8];
        byte = static_cast<std::uint8_t>(value ? byte | mask : byte & ~mask);
    }
    return address;
}

}  // namespace

Cidr Cidr::network() const { return {with_host_bits(address, prefix, false), prefix}; }

IpAddress Cidr::last() const { return with_host_bits(address, prefix, true); }

bool Cidr::contains(const IpAddress& other) const {
    return other.family == address.family && with_host_bits(other, prefix, false) == network().address;
}

bool Cidr::overlaps(const Cidr& other) const {
    const unsigned shorter = std::min(prefix, other.prefix);
    return Cidr{address, shorter}.contains(other.address);
}

bool has_family(const std::set<Cidr>& addresses, IpAddress::Family family) {
    return std::any_of(addresses.begin(), addresses.end(), [&](const Cidr& cidr) { return cidr.address.family == family; });
}

std::vector<std::string> texts_of(const std::set<Cidr>& addresses) {
    std::vector<std::string> texts;
    for (const auto& cidr : addresses) texts.push_back(cidr.str());
    return texts;
}

}  // namespace ctl::model
