#include "drivers/netlink/snapshot.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/if_tunnel.h>
#include <linux/if_vlan.h>
#include <linux/ipv6.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <initializer_list>

#include "drivers/api/mark.h"
#include "drivers/netlink/limits.h"
#include "drivers/netlink/names.h"

namespace ctl::drivers::netlink {

namespace {

using model::Cidr;
using model::IpAddress;

// Newer than some of the headers we are built with.
constexpr unsigned char address_made_by_kernel = 3;   // IFAPROT_KERNEL_LL
constexpr std::uint32_t filter_skip_stats = 1U << 3;  // RTEXT_FILTER_SKIP_STATS

/// Absent for 0.0.0.0 and ::, by which the kernel says "none".
std::optional<std::string> address_text(Bytes bytes) {
    const auto address = address_from(bytes);
    if (!address || std::all_of(address->bytes.begin(), address->bytes.end(), [](auto b) { return b == 0; }))
        return std::nullopt;
    return address->str();
}

std::string mac_text(Bytes bytes) {
    if (bytes.size() != 6) return {};
    const auto at = [&](std::size_t i) { return std::to_integer<unsigned>(bytes[i]); };
    return fmt::format("{:02x}:{:02x}:{:02x}:{:02x}:{:02x}:{:02x}", at(0), at(1), at(2), at(3), at(4), at(5));
}

std::optional<std::string> macvlan_mode(std::uint32_t mode) {
    switch (mode) {
        case MACVLAN_MODE_PRIVATE: return "private";
        case MACVLAN_MODE_VEPA: return "vepa";
        case MACVLAN_MODE_BRIDGE: return "bridge";
        case MACVLAN_MODE_PASSTHRU: return "passthru";
        default: return std::nullopt;
    }
}

std::optional<std::string> ipvlan_mode(std::uint16_t mode) {
    switch (mode) {
        case IPVLAN_MODE_L2: return "l2";
        case IPVLAN_MODE_L3: return "l3";
        case IPVLAN_MODE_L3S: return "l3s";
        default: return std::nullopt;
    }
}

void read_vxlan(const Attributes& data, LinkRecord& link) {
    if (const auto vni = data.u32(IFLA_VXLAN_ID)) link.vni = *vni;
    if (const auto port = data.u16(IFLA_VXLAN_PORT))
        link.port = std::endian::native == std::endian::little ? __builtin_bswap16(*port) : *port;
    if (const auto ttl = data.u8(IFLA_VXLAN_TTL)) link.ttl = *ttl;
    link.local = address_text(data.get(data.has(IFLA_VXLAN_LOCAL) ? IFLA_VXLAN_LOCAL : IFLA_VXLAN_LOCAL6));
    link.remote = address_text(data.get(data.has(IFLA_VXLAN_GROUP) ? IFLA_VXLAN_GROUP : IFLA_VXLAN_GROUP6));
    if (const auto lower = data.u32(IFLA_VXLAN_LINK)) link.lower = static_cast<int>(*lower);
}

void read_gretap(const Attributes& data, LinkRecord& link) {
    const auto key = data.u32(IFLA_GRE_OKEY);
    if (key && (data.u16(IFLA_GRE_OFLAGS).value_or(0) & GRE_KEY) != 0) link.vni = ntohl(*key);
    if (const auto ttl = data.u8(IFLA_GRE_TTL)) link.ttl = *ttl;
    link.local = address_text(data.get(IFLA_GRE_LOCAL));
    link.remote = address_text(data.get(IFLA_GRE_REMOTE));
}

bool has_ipv6(const Attributes& attributes) {
    const Bytes conf = attributes.nested(IFLA_AF_SPEC).nested(AF_INET6).get(IFLA_INET6_CONF);
    std::int32_t disabled = 0;
    if (conf.size() < (DEVCONF_DISABLE_IPV6 + 1) * sizeof disabled) return false;
    std::memcpy(&disabled, conf.data() + DEVCONF_DISABLE_IPV6 * sizeof disabled, sizeof disabled);
    return disabled == 0;
}

std::uint32_t vlan_flags(const Attributes& data) {
    ifla_vlan_flags flags{};
    const Bytes bytes = data.get(IFLA_VLAN_FLAGS);
    if (bytes.size() >= sizeof flags) std::memcpy(&flags, bytes.data(), sizeof flags);
    return flags.flags;
}

LinkRecord read_link(const nlmsghdr* message) {
    const auto fixed = fixed_part<ifinfomsg>(message);
    const Attributes attributes(message, sizeof fixed);
    const Attributes info = attributes.nested(IFLA_LINKINFO);
    LinkRecord link;
    link.index = fixed.ifi_index;
    link.flags = fixed.ifi_flags;
    link.name = attributes.text(IFLA_IFNAME);
    link.kind = info.text(IFLA_INFO_KIND);
    link.alias = attributes.text(IFLA_IFALIAS);
    link.mac = mac_text(attributes.get(IFLA_ADDRESS));
    link.group = attributes.u32(IFLA_GROUP).value_or(0);
    link.mtu = attributes.u32(IFLA_MTU).value_or(0);
    link.master = static_cast<int>(attributes.u32(IFLA_MASTER).value_or(0));
    link.lower = static_cast<int>(attributes.u32(IFLA_LINK).value_or(0));
    if (const auto nsid = attributes.u32(IFLA_LINK_NETNSID)) link.lower_namespace = static_cast<int>(*nsid);
    link.ipv6 = has_ipv6(attributes);
    if (info.text(IFLA_INFO_SLAVE_KIND) == "bridge")
        link.isolated = info.nested(IFLA_INFO_SLAVE_DATA).u8(IFLA_BRPORT_ISOLATED).value_or(0) != 0;
    const Attributes data = info.nested(IFLA_INFO_DATA);
    if (link.kind == "macvlan") link.mode = macvlan_mode(data.u32(IFLA_MACVLAN_MODE).value_or(0));
    if (link.kind == "ipvlan") link.mode = ipvlan_mode(data.u16(IFLA_IPVLAN_MODE).value_or(0));
    if (link.kind == "vlan") {
        link.vlan = data.u16(IFLA_VLAN_ID);
        link.gvrp = (vlan_flags(data) & VLAN_FLAG_GVRP) != 0;
    }
    if (link.kind == "vxlan") read_vxlan(data, link);
    if (link.kind == "gretap") read_gretap(data, link);
    return link;
}

/// fe80:: with the interface identifier that the kernel derives from the MAC address.
bool is_derived_from_mac(const IpAddress& address, const std::string& mac) {
    std::array<unsigned, 6> m{};
    if (std::sscanf(mac.c_str(), "%x:%x:%x:%x:%x:%x", m.data(), &m[1], &m[2], &m[3], &m[4], &m[5]) != 6) return false;
    const std::array<unsigned, 8> identifier{m[0] ^ 2U, m[1], m[2], 0xff, 0xfe, m[3], m[4], m[5]};
    return std::equal(identifier.begin(), identifier.end(), address.bytes.begin() + 8);
}

bool is_link_local_v6(const IpAddress& address) {
    return address.family == IpAddress::Family::v6 && address.bytes[0] == 0xfe && (address.bytes[1] & 0xc0) == 0x80;
}

struct ParsedAddress {
    int link = 0;
    AddressRecord record;
};

std::optional<ParsedAddress> read_address(const nlmsghdr* message) {
    const auto fixed = fixed_part<ifaddrmsg>(message);
    const Attributes attributes(message, sizeof fixed);
    const auto address = address_from(attributes.get(attributes.has(IFA_LOCAL) ? IFA_LOCAL : IFA_ADDRESS));
    if (!address) return std::nullopt;
    return ParsedAddress{static_cast<int>(fixed.ifa_index),
                         {{*address, fixed.ifa_prefixlen}, attributes.u8(IFA_PROTO).value_or(0)}};
}

std::optional<RouteRecord> read_route(const nlmsghdr* message) {
    const auto fixed = fixed_part<rtmsg>(message);
    const Attributes attributes(message, sizeof fixed);
    const bool of_interest =
        (fixed.rtm_family == AF_INET || fixed.rtm_family == AF_INET6) && fixed.rtm_type == RTN_UNICAST &&
        attributes.u32(RTA_TABLE).value_or(fixed.rtm_table) == RT_TABLE_MAIN && (fixed.rtm_flags & RTM_F_CLONED) == 0 &&
        fixed.rtm_protocol != RTPROT_KERNEL && fixed.rtm_protocol != RTPROT_RA;
    if (!of_interest) return std::nullopt;
    RouteRecord route;
    route.destination.prefix = fixed.rtm_dst_len;
    route.destination.address.family = fixed.rtm_family == AF_INET ? IpAddress::Family::v4 : IpAddress::Family::v6;
    if (const auto to = address_from(attributes.get(RTA_DST))) route.destination.address = *to;
    route.via = address_from(attributes.get(RTA_GATEWAY));
    route.link = static_cast<int>(attributes.u32(RTA_OIF).value_or(0));
    route.metric = attributes.u32(RTA_PRIORITY).value_or(0);
    route.protocol = fixed.rtm_protocol;
    return route;
}

Status read_links(Socket& socket, std::vector<LinkRecord>& links) {
    Request request(RTM_GETLINK, NLM_F_DUMP, bytes_of(ifinfomsg{}));
    request.u32(IFLA_EXT_MASK, filter_skip_stats);
    CTL_TRY(socket.dump(
        request, [&] { links.clear(); },
        [&](const nlmsghdr* message) {
            if (message->nlmsg_type == RTM_NEWLINK) links.push_back(read_link(message));
        }));
    std::sort(links.begin(), links.end(), [](const auto& a, const auto& b) { return a.index < b.index; });
    return ok();
}

Status read_addresses(Socket& socket, Snapshot& snapshot) {
    std::vector<ParsedAddress> found;
    CTL_TRY(socket.dump(
        Request(RTM_GETADDR, NLM_F_DUMP, bytes_of(ifaddrmsg{})), [&] { found.clear(); },
        [&](const nlmsghdr* message) {
            if (auto address = read_address(message)) found.push_back(*address);
        }));
    for (const auto& [index, address] : found) {
        auto* link = const_cast<LinkRecord*>(snapshot.link(index));
        if (link == nullptr) continue;
        const bool kernels = address.protocol == address_made_by_kernel ||
                             (address.protocol == 0 && is_derived_from_mac(address.cidr.address, link->mac));
        if (is_link_local_v6(address.cidr.address) && kernels) continue;
        link->addresses.push_back(address);
    }
    return ok();
}

Status read_routes(Socket& socket, std::vector<RouteRecord>& routes) {
    for (const unsigned char family : std::initializer_list<unsigned char>{AF_INET, AF_INET6}) {
        const std::size_t before = routes.size();
        rtmsg fixed{};
        fixed.rtm_family = family;
        fixed.rtm_table = RT_TABLE_MAIN;
        fixed.rtm_type = RTN_UNICAST;
        CTL_TRY(socket.dump(
            Request(RTM_GETROUTE, NLM_F_DUMP, bytes_of(fixed)), [&] { routes.resize(before); },
            [&](const nlmsghdr* message) {
                if (auto route = read_route(message)) routes.push_back(*route);
            }));
    }
    const auto key = [](const RouteRecord& r) {
        return std::tuple(r.destination, r.protocol != our_protocol, r.metric, r.link);
    };
    std::sort(routes.begin(), routes.end(), [&](const auto& a, const auto& b) { return key(a) < key(b); });
    return ok();
}

}  // namespace

bool LinkRecord::in_our_group() const { return group == link_group || group == doomed_link_group; }

std::set<Cidr> LinkRecord::cidrs() const {
    std::set<Cidr> all;
    for (const auto& address : addresses) all.insert(address.cidr);
    return all;
}

const LinkRecord* Snapshot::link(int index) const {
    const auto found = std::lower_bound(links.begin(), links.end(), index, [](const auto& l, int i) { return l.index < i; });
    return found != links.end() && found->index == index ? &*found : nullptr;
}

const LinkRecord* Snapshot::link(std::string_view name) const {
    const auto found = std::find_if(links.begin(), links.end(), [&](const auto& l) { return l.name == name; });
    return found != links.end() ? &*found : nullptr;
}

const RouteRecord* Snapshot::route(const Cidr& destination) const {
    const auto found =
        std::find_if(routes.begin(), routes.end(), [&](const auto& r) { return r.destination == destination; });
    return found != routes.end() ? &*found : nullptr;
}

Result<Snapshot> read_snapshot(Socket& socket) {
    Snapshot snapshot;
    CTL_TRY(read_links(socket, snapshot.links));
    CTL_TRY(read_addresses(socket, snapshot));
    CTL_TRY(read_routes(socket, snapshot.routes));
    return snapshot;
}

Result<std::vector<int>> find_links(Socket& socket, std::span<const std::string> names) {
    std::vector<Request> requests;
    for (const auto& name : names) {
        requests.emplace_back(RTM_GETLINK, 0U, bytes_of(ifinfomsg{}));
        requests.back().text(IFLA_IFNAME, name).u32(IFLA_EXT_MASK, filter_skip_stats);
    }
    std::vector<int> indexes(names.size(), 0);
    CTL_ASSIGN(const auto answers, socket.transact(requests, [&](std::size_t i, const nlmsghdr* message) {
        if (message->nlmsg_type == RTM_NEWLINK) indexes[i] = fixed_part<ifinfomsg>(message).ifi_index;
    }));
    for (const Answer& answer : answers)
        if (!answer.is_ok() && answer.error != ENODEV) return answer.as_error("looking for a link");
    return indexes;
}

bool is_relevant(const nlmsghdr* message) {
    switch (message->nlmsg_type) {
        case RTM_NEWLINK:
        case RTM_DELLINK:
            // A bridge also tells of its ports' forwarding states, as a family of its own.
            return fixed_part<ifinfomsg>(message).ifi_family == AF_UNSPEC;
        case RTM_NEWADDR:
        case RTM_DELADDR: {
            const auto address = read_address(message);
            return address &&
                   !(is_link_local_v6(address->record.cidr.address) && address->record.protocol == address_made_by_kernel);
        }
        case RTM_NEWROUTE:
        case RTM_DELROUTE: return read_route(message).has_value();
        default: return is_about_limits(message);
    }
}

std::optional<IpAddress> address_from(Bytes bytes) {
    if (bytes.size() != 4 && bytes.size() != 16) return std::nullopt;
    IpAddress address;
    address.family = bytes.size() == 4 ? IpAddress::Family::v4 : IpAddress::Family::v6;
    std::memcpy(address.bytes.data(), bytes.data(), bytes.size());
    return address;
}

Bytes bytes_of(const IpAddress& address) { return std::as_bytes(std::span(address.bytes)).first(address.bits() / 8); }

}  // namespace ctl::drivers::netlink
