#include "drivers/netlink/link_requests.h"

#include <arpa/inet.h>
#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/if_tunnel.h>
#include <linux/if_vlan.h>
#include <linux/ip.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <sys/socket.h>

#include <bit>
#include <cassert>
#include <cstdio>

#include "drivers/api/mark.h"
#include "drivers/netlink/names.h"

namespace ctl::drivers::netlink {

namespace {

using model::IpAddress;
using model::Link;
using model::LinkType;

std::uint16_t big_endian(std::int64_t value) {
    const auto number = static_cast<std::uint16_t>(value);
    return std::endian::native == std::endian::little ? __builtin_bswap16(number) : number;
}

std::optional<std::uint32_t> macvlan_mode(const std::string& name) {
    if (name == "private") return MACVLAN_MODE_PRIVATE;
    if (name == "vepa") return MACVLAN_MODE_VEPA;
    if (name == "bridge") return MACVLAN_MODE_BRIDGE;
    if (name == "passthru") return MACVLAN_MODE_PASSTHRU;
    return std::nullopt;
}

std::optional<std::uint16_t> ipvlan_mode(const std::string& name) {
    if (name == "l2") return IPVLAN_MODE_L2;
    if (name == "l3") return IPVLAN_MODE_L3;
    if (name == "l3s") return IPVLAN_MODE_L3S;
    return std::nullopt;
}

void put_gvrp(Request& request, const Link& link) {
    if (!link.gvrp) return;
    const ifla_vlan_flags flags{.flags = *link.gvrp ? std::uint32_t{VLAN_FLAG_GVRP} : 0, .mask = VLAN_FLAG_GVRP};
    request.bytes(IFLA_VLAN_FLAGS, bytes_of(flags));
}

/// Types whose parent is named by the link itself, not among the type's own settings.
bool stands_on_parent(const Link& link) {
    return link.type == LinkType::macvlan || link.type == LinkType::ipvlan || link.type == LinkType::vlan;
}

void put_address(Request& request, const std::string& text, int attribute4, int attribute6) {
    const auto address = IpAddress::parse(text);
    if (address) request.bytes(address->family == IpAddress::Family::v4 ? attribute4 : attribute6, bytes_of(*address));
}

void put_vxlan_live(Request& request, const Link& link) {
    if (link.local) put_address(request, *link.local, IFLA_VXLAN_LOCAL, IFLA_VXLAN_LOCAL6);
    if (link.remote) put_address(request, *link.remote, IFLA_VXLAN_GROUP, IFLA_VXLAN_GROUP6);
    if (link.ttl) request.u8(IFLA_VXLAN_TTL, static_cast<std::uint8_t>(*link.ttl));
}

void put_gretap(Request& request, const Link& link) {
    if (link.local) put_address(request, *link.local, IFLA_GRE_LOCAL, IFLA_GRE_LOCAL);
    if (link.remote) put_address(request, *link.remote, IFLA_GRE_REMOTE, IFLA_GRE_REMOTE);
    // A packet's own TTL and "don't fragment" don't go together in the kernel: with a TTL of ours there is path MTU
    // discovery.
    request.u8(IFLA_GRE_TTL, static_cast<std::uint8_t>(link.ttl.value_or(0)));
    request.u8(IFLA_GRE_PMTUDISC, link.ttl.value_or(0) != 0 ? 1 : 0);
    if (!link.vni) return;
    for (const int flags : {IFLA_GRE_IFLAGS, IFLA_GRE_OFLAGS}) request.u16(flags, GRE_KEY);
    for (const int key : {IFLA_GRE_IKEY, IFLA_GRE_OKEY}) request.u32(key, htonl(static_cast<std::uint32_t>(*link.vni)));
}

void put_name_and_place(Request& request, const Birth& birth) {
    request.text(IFLA_IFNAME, birth.name).u32(IFLA_GROUP, link_group);
    if (birth.netns >= 0) request.u32(IFLA_NET_NS_FD, static_cast<std::uint32_t>(birth.netns));
    if (birth.link == nullptr) return;
    // A bridge follows the smallest MTU of its ports until it is given one, which it is not by being born with it.
    const bool is_bridge = birth.link->type == LinkType::bridge;
    if (birth.link->mtu && !is_bridge) request.u32(IFLA_MTU, static_cast<std::uint32_t>(*birth.link->mtu));
    if (birth.link->mac)
        if (const auto mac = mac_bytes(*birth.link->mac)) request.bytes(IFLA_ADDRESS, *mac);
}

void put_type_settings(Request& request, const Link& link, int parent) {
    switch (link.type.value_or(LinkType::veth)) {
        case LinkType::bridge:
            // A port forwards at once: nobody puts loops into these bridges, and a container's DHCP must not wait 15 s.
            request.u32(IFLA_BR_FORWARD_DELAY, 0).u32(IFLA_BR_STP_STATE, 0);
            break;
        case LinkType::macvlan:
            if (const auto mode = link.mode ? macvlan_mode(*link.mode) : std::nullopt) request.u32(IFLA_MACVLAN_MODE, *mode);
            break;
        case LinkType::vxlan:
            if (link.vni) request.u32(IFLA_VXLAN_ID, static_cast<std::uint32_t>(*link.vni));
            if (link.port) request.u16(IFLA_VXLAN_PORT, big_endian(*link.port));
            if (parent != 0) request.u32(IFLA_VXLAN_LINK, static_cast<std::uint32_t>(parent));
            put_vxlan_live(request, link);
            break;
        case LinkType::gretap: put_gretap(request, link); break;
        case LinkType::ipvlan:
            if (const auto mode = link.mode ? ipvlan_mode(*link.mode) : std::nullopt) request.u16(IFLA_IPVLAN_MODE, *mode);
            break;
        case LinkType::vlan:
            if (link.vlan) request.u16(IFLA_VLAN_ID, static_cast<std::uint16_t>(*link.vlan));
            put_gvrp(request, link);
            break;
        case LinkType::veth: break;
    }
}

Request new_link(unsigned flags, int index, unsigned up_mask, unsigned up) {
    ifinfomsg fixed{};
    fixed.ifi_index = index;
    fixed.ifi_change = up_mask;
    fixed.ifi_flags = up;
    return {RTM_NEWLINK, flags, bytes_of(fixed)};
}

Request address_request(unsigned type, unsigned flags, int index, const model::Cidr& cidr) {
    const bool v4 = cidr.address.family == IpAddress::Family::v4;
    ifaddrmsg fixed{};
    fixed.ifa_family = v4 ? AF_INET : AF_INET6;
    fixed.ifa_prefixlen = static_cast<unsigned char>(cidr.prefix);
    fixed.ifa_index = static_cast<unsigned>(index);
    fixed.ifa_scope = RT_SCOPE_UNIVERSE;
    const bool adds = type == RTM_NEWADDR;
    // Addresses are allotted by us: looking for duplicates would only make dnsmasq and the container wait.
    if (adds && !v4) fixed.ifa_flags = IFA_F_NODAD;
    Request request(type, flags, bytes_of(fixed));
    request.bytes(IFA_LOCAL, bytes_of(cidr.address)).bytes(IFA_ADDRESS, bytes_of(cidr.address));
    if (adds) request.u8(IFA_PROTO, our_protocol);
    if (adds && v4 && cidr.prefix < 31) request.bytes(IFA_BROADCAST, bytes_of(cidr.last()));
    return request;
}

bool changes_type_settings(const LinkRecord& now, const Link& wanted) {
    const auto differs = [](const auto& want, const auto& have) { return want && want != have; };
    if (now.kind == "macvlan" || now.kind == "ipvlan") return differs(wanted.mode, now.mode);
    if (now.kind == "vlan") return differs(wanted.gvrp, now.gvrp);
    return (now.kind == "vxlan" || now.kind == "gretap") &&
           (differs(wanted.local, now.local) || differs(wanted.remote, now.remote) || differs(wanted.ttl, now.ttl));
}

void put_changed_type_settings(Request& request, const LinkRecord& now, const Link& wanted) {
    request.nest(IFLA_LINKINFO, [&](Request& info) {
        info.text(IFLA_INFO_KIND, now.kind);
        info.nest(IFLA_INFO_DATA, [&](Request& data) {
            if (now.kind == "vxlan") put_vxlan_live(data, wanted);
            if (now.kind == "gretap") put_gretap(data, wanted);
            if (now.kind == "vlan") put_gvrp(data, wanted);
            const auto mode = now.kind == "macvlan" && wanted.mode ? macvlan_mode(*wanted.mode) : std::nullopt;
            if (mode) data.u32(IFLA_MACVLAN_MODE, *mode);
            const auto layer = now.kind == "ipvlan" && wanted.mode ? ipvlan_mode(*wanted.mode) : std::nullopt;
            if (layer) data.u16(IFLA_IPVLAN_MODE, *layer);
        });
    });
}

}  // namespace

Request birth_request(const Birth& birth, int parent) {
    Request request = new_link(NLM_F_CREATE | NLM_F_EXCL, 0, 0, 0);
    put_name_and_place(request, birth);
    if (parent != 0 && stands_on_parent(*birth.link)) request.u32(IFLA_LINK, static_cast<std::uint32_t>(parent));
    request.nest(IFLA_LINKINFO, [&](Request& info) {
        info.text(IFLA_INFO_KIND, model::to_string(*birth.link->type));
        info.nest(IFLA_INFO_DATA, [&](Request& data) { put_type_settings(data, *birth.link, parent); });
    });
    return request;
}

Request veth_request(const Birth& near, const Birth& far) {
    Request request = new_link(NLM_F_CREATE | NLM_F_EXCL, 0, 0, 0);
    put_name_and_place(request, near);
    request.nest(IFLA_LINKINFO, [&](Request& info) {
        info.text(IFLA_INFO_KIND, "veth");
        info.nest(IFLA_INFO_DATA, [&](Request& data) {
            data.nest(VETH_INFO_PEER, [&](Request& peer) {
                peer.raw(bytes_of(ifinfomsg{}));
                put_name_and_place(peer, far);
            });
        });
    });
    return request;
}

std::optional<Request> change_request(const LinkRecord& now, const LinkSettings& wanted) {
    const Link& link = wanted.link;
    const bool is_up = (now.flags & IFF_UP) != 0;
    const bool sets_up = link.up && *link.up != is_up;
    bool needed = sets_up;
    Request request = new_link(0, now.index, sets_up ? IFF_UP : 0, sets_up && *link.up ? IFF_UP : 0);
    if (changes_type_settings(now, link)) {
        put_changed_type_settings(request, now, link);
        needed = true;
    }
    if (link.mtu && *link.mtu != now.mtu) {
        request.u32(IFLA_MTU, static_cast<std::uint32_t>(*link.mtu));
        needed = true;
    }
    const auto mac = link.mac && *link.mac != now.mac ? mac_bytes(*link.mac) : std::nullopt;
    if (mac) {
        request.bytes(IFLA_ADDRESS, *mac);
        needed = true;
    }
    if (wanted.group && *wanted.group != now.group) {
        request.u32(IFLA_GROUP, *wanted.group);
        needed = true;
    }
    if (wanted.master && *wanted.master != now.master) {
        request.u32(IFLA_MASTER, static_cast<std::uint32_t>(*wanted.master));
        needed = true;
    }
    if (wanted.alias && *wanted.alias != now.alias) {
        // Without its final NUL an empty alias would be none at all, which the kernel ignores.
        request.bytes(IFLA_IFALIAS, std::as_bytes(std::span(wanted.alias->c_str(),
                                                            wanted.alias->size() + (wanted.alias->empty() ? 1 : 0))));
        needed = true;
    }
    return needed ? std::optional(std::move(request)) : std::nullopt;
}

Request isolation_request(int index, bool isolated) {
    Request request = new_link(0, index, 0, 0);
    request.nest(IFLA_LINKINFO, [&](Request& info) {
        info.text(IFLA_INFO_SLAVE_KIND, "bridge");
        info.nest(IFLA_INFO_SLAVE_DATA, [&](Request& data) { data.u8(IFLA_BRPORT_ISOLATED, isolated ? 1 : 0); });
    });
    return request;
}

Request move_request(int index, int netns, const std::string& name) {
    Request request = new_link(0, index, 0, 0);
    request.u32(IFLA_NET_NS_FD, static_cast<std::uint32_t>(netns)).text(IFLA_IFNAME, name);
    return request;
}

Request group_request(int index, unsigned group) {
    Request request = new_link(0, index, 0, 0);
    request.u32(IFLA_GROUP, group);
    return request;
}

Request delete_request(int index) {
    ifinfomsg fixed{};
    fixed.ifi_index = index;
    return {RTM_DELLINK, 0, bytes_of(fixed)};
}

Request delete_group_request(unsigned group) {
    assert(group != 0);
    Request request(RTM_DELLINK, 0, bytes_of(ifinfomsg{}));
    request.u32(IFLA_GROUP, group);
    return request;
}

Request add_address_request(int index, const model::Cidr& address) {
    return address_request(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, index, address);
}

Request delete_address_request(int index, const model::Cidr& address) {
    return address_request(RTM_DELADDR, 0, index, address);
}

Request promote_secondaries_request(int index) {
    Request request = new_link(0, index, 0, 0);
    request.nest(IFLA_AF_SPEC, [&](Request& families) {
        families.nest(AF_INET, [&](Request& inet) {
            inet.nest(IFLA_INET_CONF, [&](Request& settings) { settings.u32(IPV4_DEVCONF_PROMOTE_SECONDARIES, 1); });
        });
    });
    return request;
}

std::optional<std::array<std::byte, 6>> mac_bytes(const std::string& text) {
    std::array<unsigned, 6> m{};
    int end = 0;
    if (std::sscanf(text.c_str(), "%2x:%2x:%2x:%2x:%2x:%2x%n", m.data(), &m[1], &m[2], &m[3], &m[4], &m[5], &end) != 6 ||
        static_cast<std::size_t>(end) != text.size())
        return std::nullopt;
    std::array<std::byte, 6> bytes{};
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(m[i]);
    return bytes;
}

}  // namespace ctl::drivers::netlink
