#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "model/object_kind.h"

// The objects that networks are made of.

namespace ctl::model {

/// A kernel parameter by its dotted name: net.ipv4.ip_forward.
struct Sysctl {
    static constexpr ObjectKind kind = ObjectKind::sysctl;

    std::optional<std::string> value;

    static constexpr auto fields() { return std::tuple{field("value", &Sysctl::value, Effect::live)}; }
    bool operator==(const Sysctl&) const = default;
};

/// A container's network namespace, with the user namespace that owns it; both pinned below the run directory.
struct Netns {
    static constexpr ObjectKind kind = ObjectKind::netns;

    std::optional<std::string> idmap;  ///< see Container::idmap

    static constexpr auto fields() { return std::tuple{field("idmap", &Netns::idmap, Effect::replace)}; }
    bool operator==(const Netns&) const = default;
};

enum class LinkType { bridge, macvlan, veth, vxlan, gretap, ipvlan, vlan };

template <>
struct EnumNames<LinkType> {
    static constexpr std::array<std::pair<LinkType, std::string_view>, 7> names{{
        {LinkType::bridge, "bridge"},
        {LinkType::macvlan, "macvlan"},
        {LinkType::veth, "veth"},
        {LinkType::vxlan, "vxlan"},
        {LinkType::gretap, "gretap"},
        {LinkType::ipvlan, "ipvlan"},
        {LinkType::vlan, "vlan"},
    }};
};

/// A network interface, on the host or in a container's namespace.
/// A veth pair is two links that name each other as peer; making either end makes both.
struct Link {
    static constexpr ObjectKind kind = ObjectKind::link;

    std::optional<LinkType> type;  ///< absent for links others make (a physical NIC)
    /// The host's NIC that it is, by its name there: it is lent to the namespace as long as the link is wanted.
    std::optional<std::string> hardware;
    std::optional<std::string> parent;          ///< macvlan's, ipvlan's, vlan's or vxlan's lower link, on the host
    std::optional<std::string> peer;            ///< veth: scoped name of the other end
    std::optional<std::string> mode;            ///< macvlan: bridge, vepa, private, passthru; ipvlan: l2, l3, l3s
    std::optional<std::int64_t> vlan;           ///< vlan: 802.1Q identifier of its frames on the parent
    std::optional<bool> gvrp;                   ///< vlan: registered at the switch by GVRP
    std::optional<std::int64_t> vni;            ///< vxlan: network identifier, 24 bits; gretap: key, 32 bits
    std::optional<std::string> local;           ///< vxlan, gretap: source address
    std::optional<std::string> remote;          ///< vxlan, gretap: peer; vxlan: or multicast group
    std::optional<std::int64_t> port;           ///< vxlan: UDP destination port
    std::optional<std::int64_t> ttl;            ///< vxlan, gretap: time to live of outer packets
    std::optional<std::string> mac;             ///< lower-case, colons
    std::optional<std::int64_t> mtu;            ///< bytes
    std::optional<std::string> master;          ///< the bridge it is a port of; "" for none
    std::optional<bool> isolated;               ///< port of a bridge: exchanges nothing with its other isolated ports
    std::optional<std::int64_t> send_limit;     ///< bits a second that leave by it at most, a multiple of 8
    std::optional<std::int64_t> receive_limit;  ///< bits a second that are taken from it at most, a multiple of 8
    std::optional<bool> up;                     ///< administratively up
    std::optional<bool> ipv6;                   ///< false switches IPv6 off on it (a big bridge of silent ports needs that)
    std::optional<bool> tx_checksum;            ///< leaves TCP's and UDP's checksums to whoever takes its packets
    std::optional<std::set<Cidr>>
        addresses;  ///< global and link-local ones that we set; the kernel's own fe80:: is left out

    static constexpr auto fields() {
        return std::tuple{field("type", &Link::type, Effect::replace),
                          field("hardware", &Link::hardware, Effect::replace),
                          field("parent", &Link::parent, Effect::replace),
                          field("peer", &Link::peer, Effect::replace),
                          field("mode", &Link::mode, Effect::live),
                          field("vlan", &Link::vlan, Effect::replace),
                          field("gvrp", &Link::gvrp, Effect::live),
                          field("vni", &Link::vni, Effect::replace),
                          field("local", &Link::local, Effect::live),
                          field("remote", &Link::remote, Effect::live),
                          field("port", &Link::port, Effect::replace),
                          field("ttl", &Link::ttl, Effect::live),
                          field("mac", &Link::mac, Effect::live),
                          field("mtu", &Link::mtu, Effect::live),
                          field("master", &Link::master, Effect::live),
                          field("isolated", &Link::isolated, Effect::live),
                          field("send_limit", &Link::send_limit, Effect::live),
                          field("receive_limit", &Link::receive_limit, Effect::live),
                          field("up", &Link::up, Effect::live),
                          field("ipv6", &Link::ipv6, Effect::live),
                          field("tx_checksum", &Link::tx_checksum, Effect::live),
                          field("addresses", &Link::addresses, Effect::live, Merge::members)};
    }
    bool operator==(const Link&) const = default;
};

/// A unicast route of the main table. Its name is its destination, scoped: web:0.0.0.0/0.
struct Route {
    static constexpr ObjectKind kind = ObjectKind::route;

    std::optional<std::string> via;  ///< gateway address
    std::optional<std::string> dev;  ///< link in the same namespace

    static constexpr auto fields() {
        return std::tuple{field("via", &Route::via, Effect::live), field("dev", &Route::dev, Effect::live)};
    }
    bool operator==(const Route&) const = default;
};

/// An address for which the host answers on one of its links that it is itself, and passes on what comes for it (proxy ARP,
/// proxy NDP). Its name is the address, scoped as a route's: 10.0.3.5, :fd42::5.
struct Neighbour {
    static constexpr ObjectKind kind = ObjectKind::neighbour;

    std::optional<std::string> dev;  ///< the link whose neighbours are answered

    static constexpr auto fields() { return std::tuple{field("dev", &Neighbour::dev, Effect::live)}; }
    bool operator==(const Neighbour&) const = default;
};

/// A bridge in the Open vSwitch database, with the internal interface of its name.
struct OvsBridge {
    static constexpr ObjectKind kind = ObjectKind::ovs_bridge;

    std::optional<std::string> datapath;                  ///< system or netdev
    std::optional<std::string> mac;                       ///< other_config:hwaddr; lower-case, colons
    std::optional<std::int64_t> mtu;                      ///< of its internal interface, bytes
    std::optional<std::vector<std::string>> controllers;  ///< OpenFlow targets, "tcp:10.0.0.5:6653"; sorted
    std::optional<std::string> fail_mode;                 ///< standalone or secure

    static constexpr auto fields() {
        return std::tuple{field("datapath", &OvsBridge::datapath, Effect::replace),
                          field("mac", &OvsBridge::mac, Effect::live), field("mtu", &OvsBridge::mtu, Effect::live),
                          field("controllers", &OvsBridge::controllers, Effect::live),
                          field("fail_mode", &OvsBridge::fail_mode, Effect::live)};
    }
    bool operator==(const OvsBridge&) const = default;
};

/// A port of an Open vSwitch bridge with its one interface; the name is the interface's.
struct OvsPort {
    static constexpr ObjectKind kind = ObjectKind::ovs_port;

    std::optional<std::string> bridge;                          ///< the real bridge, never a fake one
    std::optional<std::string> type;                            ///< system, internal, vxlan, gre or patch
    std::optional<std::map<std::string, std::string>> options;  ///< of the interface: remote_ip, local_ip, key, dst_port
    std::optional<std::int64_t> tag;                            ///< VLAN of untagged frames, 0 to 4094
    std::optional<std::vector<std::string>> trunks;             ///< VLANs let through tagged, decimal, ascending
    std::optional<std::string> vlan_mode;                       ///< access, trunk, native-tagged or native-untagged
    std::optional<bool> isolated;     ///< exchanges nothing with the bridge's other isolated ports ("protected")
    std::optional<bool> fake_bridge;  ///< shown to others as a bridge of its own
    std::optional<std::string> mac;   ///< of an internal port; lower-case, colons
    std::optional<std::int64_t> mtu;  ///< bytes
    std::optional<bool> plugged;      ///< the switch has its interface, and that is still the link it was given

    static constexpr auto fields() {
        return std::tuple{field("bridge", &OvsPort::bridge, Effect::live),
                          field("type", &OvsPort::type, Effect::replace),
                          field("options", &OvsPort::options, Effect::live),
                          field("tag", &OvsPort::tag, Effect::live),
                          field("trunks", &OvsPort::trunks, Effect::live),
                          field("vlan_mode", &OvsPort::vlan_mode, Effect::live),
                          field("isolated", &OvsPort::isolated, Effect::live),
                          field("fake_bridge", &OvsPort::fake_bridge, Effect::replace),
                          field("mac", &OvsPort::mac, Effect::live),
                          field("mtu", &OvsPort::mtu, Effect::live),
                          field("plugged", &OvsPort::plugged, Effect::replace)};
    }
    bool operator==(const OvsPort&) const = default;
};

/// The OpenFlow flows of one network on a bridge of Open vSwitch, ours by their cookie and replaced in one transaction. Its
/// name is the network's.
struct OvsFlows {
    static constexpr ObjectKind kind = ObjectKind::ovs_flows;

    std::optional<std::string> bridge;  ///< the real bridge, never a fake one
    /// As ovs-ofctl shows them, with ports by their names: "priority=100,ip,in_port=web0,nw_src=10.0.0.5 actions=NORMAL".
    /// Sorted.
    std::optional<std::vector<std::string>> flows;

    static constexpr auto fields() {
        return std::tuple{field("bridge", &OvsFlows::bridge, Effect::replace),
                          field("flows", &OvsFlows::flows, Effect::live)};
    }
    bool operator==(const OvsFlows&) const = default;
};

/// A table of nftables, ours as a whole and replaced in one transaction.
struct NftTable {
    static constexpr ObjectKind kind = ObjectKind::nft_table;

    std::optional<std::string> family;  ///< inet, ip, ip6 or bridge
    /// Chain → its lines as `nft list table` prints them, without indentation, joined by line ends.
    std::optional<std::map<std::string, std::string>> chains;

    static constexpr auto fields() {
        return std::tuple{field("family", &NftTable::family, Effect::replace),
                          field("chains", &NftTable::chains, Effect::live)};
    }
    bool operator==(const NftTable&) const = default;
};

/// A dnsmasq that serves one network; its name is the interface it serves.
struct DnsService {
    static constexpr ObjectKind kind = ObjectKind::dns_service;

    std::optional<std::vector<std::string>> options;  ///< lines of its configuration file; a change restarts it
    /// Who gets which address and name by DHCP: a NIC → its line for dnsmasq's dhcp-hostsfile. Read again while it runs.
    std::optional<std::map<std::string, std::string>> reservations;
    /// Names of addresses that DHCP does not give out: a NIC → its line as in hosts(5). Read again while it runs.
    std::optional<std::map<std::string, std::string>> records;
    std::optional<bool> running;  ///< on the interface that has the name now, and with all that its files say

    static constexpr auto fields() {
        return std::tuple{field("options", &DnsService::options, Effect::restart),
                          field("reservations", &DnsService::reservations, Effect::live),
                          field("records", &DnsService::records, Effect::live),
                          field("running", &DnsService::running, Effect::live)};
    }
    bool operator==(const DnsService&) const = default;
};

}  // namespace ctl::model
