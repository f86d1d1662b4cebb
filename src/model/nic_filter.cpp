#include "model/nic_filter.h"

#include <array>

#include <fmt/format.h>

namespace ctl::model {

namespace {

std::optional<IpAddress> address_of(const Attachment& nic, IpAddress::Family family) {
    for (const Cidr& cidr : nic.addresses)
        if (cidr.address.family == family) return cidr.address;
    return std::nullopt;
}

IpAddress link_local_of(const std::string& text) {
    std::array<std::uint8_t, 6> mac{};
    for (std::size_t i = 0; i < mac.size(); ++i)
        mac[i] = static_cast<std::uint8_t>(std::stoul(text.substr(3 * i, 2), nullptr, 16));
    IpAddress address{.family = IpAddress::Family::v6};
    address.bytes = {0xfe,   0x80,   0,    0,    0,      0,      0,     0, static_cast<std::uint8_t>(mac[0] ^ 2U),
                     mac[1], mac[2], 0xff, 0xfe, mac[3], mac[4], mac[5]};
    return address;
}

}  // namespace

NicFilter filter_of(const Attachment& nic) {
    const auto filters = [&](std::string_view what) {
        return bool_value(nic.device->keys, fmt::format("security.{}_filtering", what), false);
    };
    return {.mac = filters("mac"),
            .ipv4 = filters("ipv4"),
            .ipv6 = filters("ipv6"),
            .own_mac = nic.mac,
            .own4 = address_of(nic, IpAddress::Family::v4),
            .own6 = address_of(nic, IpAddress::Family::v6),
            .link_local = link_local_of(nic.mac)};
}

}  // namespace ctl::model
