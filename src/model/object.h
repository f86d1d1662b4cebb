#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <variant>
#include <vector>

#include "model/field.h"

// Objects: the smallest things on a host that exactly one driver can read and change. Every field is optional: absent in
// the desired state means "not managed", absent in the observed state means "not there".

namespace ctl::model {

enum class ObjectKind {
    sysctl,
    netns,
    link,
    route,
    neighbour,
    ovs_bridge,
    ovs_port,
    ovs_flows,
    nft_table,
    dns_service,
    pool,
    image,
    volume,
    container
};

template <>
struct EnumNames<ObjectKind> {
    static constexpr std::array<std::pair<ObjectKind, std::string_view>, 14> names{{
        {ObjectKind::sysctl, "sysctl"},
        {ObjectKind::netns, "netns"},
        {ObjectKind::link, "link"},
        {ObjectKind::route, "route"},
        {ObjectKind::neighbour, "neighbour"},
        {ObjectKind::ovs_bridge, "ovs_bridge"},
        {ObjectKind::ovs_port, "ovs_port"},
        {ObjectKind::ovs_flows, "ovs_flows"},
        {ObjectKind::nft_table, "nft_table"},
        {ObjectKind::dns_service, "dns_service"},
        {ObjectKind::pool, "pool"},
        {ObjectKind::image, "image"},
        {ObjectKind::volume, "volume"},
        {ObjectKind::container, "container"},
    }};
};

/// link/ovs-br0. Things inside a container's network namespace carry its name and a colon: link/web:eth0.
/// The total order makes plans deterministic.
struct ObjectId {
    ObjectKind kind = ObjectKind::link;
    std::string name;

    auto operator<=>(const ObjectId&) const = default;

    [[nodiscard]] std::string str() const { return std::string(to_string(kind)) + "/" + name; }
    /// The reverse of str().
    [[nodiscard]] static std::optional<ObjectId> parse(std::string_view text);
};

/// The namespace and the plain name in a link's or route's name: {"web", "eth0"}; {"", "br0"} on the host.
struct ScopedName {
    std::string netns;
    std::string name;

    [[nodiscard]] static ScopedName parse(std::string_view text);
    [[nodiscard]] std::string str() const { return netns.empty() ? name : netns + ":" + name; }
};

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

enum class LinkType { bridge, macvlan, veth, vxlan, gretap };

template <>
struct EnumNames<LinkType> {
    static constexpr std::array<std::pair<LinkType, std::string_view>, 5> names{{
        {LinkType::bridge, "bridge"},
        {LinkType::macvlan, "macvlan"},
        {LinkType::veth, "veth"},
        {LinkType::vxlan, "vxlan"},
        {LinkType::gretap, "gretap"},
    }};
};

/// A network interface, on the host or in a container's namespace.
/// A veth pair is two links that name each other as peer; making either end makes both.
struct Link {
    static constexpr ObjectKind kind = ObjectKind::link;

    std::optional<LinkType> type;  ///< absent for links others make (a physical NIC)
    /// The host's NIC that it is, by its name there: it is lent to the namespace as long as the link is wanted.
    std::optional<std::string> hardware;
    std::optional<std::string> parent;          ///< macvlan's or vxlan's lower link, on the host
    std::optional<std::string> peer;            ///< veth: scoped name of the other end
    std::optional<std::string> mode;            ///< macvlan: bridge, vepa, private, passthru
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

/// A place that keeps volumes.
struct Pool {
    static constexpr ObjectKind kind = ObjectKind::pool;

    std::optional<std::string> driver;  ///< dir
    std::optional<std::string> source;  ///< absolute path

    static constexpr auto fields() {
        return std::tuple{field("driver", &Pool::driver, Effect::fixed), field("source", &Pool::source, Effect::fixed)};
    }
    bool operator==(const Pool&) const = default;
};

/// A root filesystem in the image store.
struct Image {
    static constexpr ObjectKind kind = ObjectKind::image;

    std::optional<std::string> type;         ///< busybox, tarball or directory
    std::optional<std::string> source;       ///< absolute path of the tarball or directory
    std::optional<std::string> fingerprint;  ///< SHA-256, 64 lower-case hex digits; in desired only if declared

    static constexpr auto fields() {
        return std::tuple{field("type", &Image::type, Effect::replace), field("source", &Image::source, Effect::replace),
                          field("fingerprint", &Image::fingerprint, Effect::replace)};
    }
    bool operator==(const Image&) const = default;
};

/// A container's root filesystem in a pool: POOL/NAME. Holds data.
struct Volume {
    static constexpr ObjectKind kind = ObjectKind::volume;

    std::optional<std::string> image;  ///< name of the image it was cloned from
    std::optional<std::string> idmap;  ///< whose ids the files are seen with; see Container::idmap
    std::optional<bool> mounted;       ///< ready at its path (an overlay has to be mounted after a reboot)

    static constexpr auto fields() {
        return std::tuple{field("image", &Volume::image, Effect::replace), field("idmap", &Volume::idmap, Effect::restart),
                          field("mounted", &Volume::mounted, Effect::live)};
    }
    bool operator==(const Volume&) const = default;
};

enum class ContainerState { running, stopped, frozen };

template <>
struct EnumNames<ContainerState> {
    static constexpr std::array<std::pair<ContainerState, std::string_view>, 3> names{{
        {ContainerState::running, "running"},
        {ContainerState::stopped, "stopped"},
        {ContainerState::frozen, "frozen"},
    }};
};

/// A liblxc container. While it runs, observed fields whose effect is restart are those it was started with.
struct Container {
    static constexpr ObjectKind kind = ObjectKind::container;

    std::optional<std::string> rootfs;  ///< absolute path
    std::optional<std::string> idmap;   ///< "none" when privileged, else "CONTAINER:HOST:COUNT" for uids and gids
    std::optional<std::map<std::string, std::string>> environment;
    std::optional<std::map<std::string, std::string>>
        mounts;                                 ///< path in the container → "SOURCE[ ro][ rbind][ optional]", \040-escaped
    std::optional<std::int64_t> memory_limit;   ///< bytes; limits.memory
    std::optional<std::int64_t> process_limit;  ///< limits.processes
    std::optional<std::string> cpu_set;         ///< kernel list, "0-1"; limits.cpu as a set
    std::optional<std::vector<std::string>> raw;  ///< further liblxc lines, "key = value"; raw.lxc
    std::optional<bool> autostart;                ///< boot.autostart
    std::optional<std::int64_t> autostart_priority;
    std::optional<std::int64_t> autostart_delay;  ///< seconds
    std::optional<ContainerState> state;

    static constexpr auto fields() {
        return std::tuple{field("rootfs", &Container::rootfs, Effect::restart),
                          field("idmap", &Container::idmap, Effect::restart),
                          field("environment", &Container::environment, Effect::restart),
                          field("mounts", &Container::mounts, Effect::hotplug),
                          field("memory_limit", &Container::memory_limit, Effect::live),
                          field("process_limit", &Container::process_limit, Effect::live),
                          field("cpu_set", &Container::cpu_set, Effect::live),
                          field("raw", &Container::raw, Effect::restart),
                          field("autostart", &Container::autostart, Effect::live),
                          field("autostart_priority", &Container::autostart_priority, Effect::live),
                          field("autostart_delay", &Container::autostart_delay, Effect::live),
                          field("state", &Container::state, Effect::live)};
    }
    bool operator==(const Container&) const = default;
};

using Object = std::variant<Sysctl, Netns, Link, Route, Neighbour, OvsBridge, OvsPort, OvsFlows, NftTable, DnsService, Pool,
                            Image, Volume, Container>;

[[nodiscard]] ObjectKind kind_of(const Object& object);
/// An object of the kind with no field set.
[[nodiscard]] Object make_object(ObjectKind kind);

/// A row of a field table together with one object's value.
struct FieldView {
    std::string_view name;
    Effect effect;
    Merge merge;
    std::optional<FieldValue> value;
};

/// All fields of an object in the order of its table.
[[nodiscard]] std::vector<FieldView> fields_of(const Object& object);
/// Sets (or with nullopt clears) one field; false if there is no such field or the value does not fit.
[[nodiscard]] bool set_field(Object& object, std::string_view name, const std::optional<FieldValue>& value);

}  // namespace ctl::model
