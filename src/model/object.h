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
    snapshot,
    container,
    proxy,
    readiness
};

template <>
struct EnumNames<ObjectKind> {
    static constexpr std::array<std::pair<ObjectKind, std::string_view>, 17> names{{
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
        {ObjectKind::snapshot, "snapshot"},
        {ObjectKind::container, "container"},
        {ObjectKind::proxy, "proxy"},
        {ObjectKind::readiness, "readiness"},
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

/// A place that keeps volumes.
struct Pool {
    static constexpr ObjectKind kind = ObjectKind::pool;

    std::optional<std::string> driver;  ///< dir, btrfs, lvm, zfs, ceph
    std::optional<std::string>
        source;  ///< absolute path of a directory, a block device or a loop file; or an existing pool's name
    std::optional<std::int64_t> size;                           ///< bytes of a loop file
    std::optional<std::map<std::string, std::string>> options;  ///< the driver's own keys: lvm.vg_name
    std::optional<std::string> mount_options;                   ///< as mount(8) takes them after -o
    std::optional<bool> mounted;  ///< ready at its path (a loop file has to be mounted after a reboot)

    static constexpr auto fields() {
        return std::tuple{field("driver", &Pool::driver, Effect::fixed),
                          field("source", &Pool::source, Effect::fixed),
                          field("size", &Pool::size, Effect::live),
                          field("options", &Pool::options, Effect::fixed),
                          field("mount_options", &Pool::mount_options, Effect::live),
                          field("mounted", &Pool::mounted, Effect::live)};
    }
    bool operator==(const Pool&) const = default;
};

/// A root filesystem in the image store.
struct Image {
    static constexpr ObjectKind kind = ObjectKind::image;

    std::optional<std::string> type;    ///< busybox, tarball, directory, url, simplestreams, debootstrap, container
    std::optional<std::string> source;  ///< absolute path, URL, "SERVER ALIAS", suite or container, by type
    std::optional<std::map<std::string, std::string>> options;  ///< what else the source is told: a mirror, a second file
    std::optional<std::string> fingerprint;           ///< SHA-256, 64 lower-case hex digits; in desired only if declared
    std::optional<std::vector<std::string>> aliases;  ///< further names
    std::optional<std::map<std::string, std::string>> properties;
    std::optional<bool> shared;       ///< `public`
    std::optional<bool> auto_update;  ///< looked for anew by the watch loop

    static constexpr auto fields() {
        return std::tuple{
            field("type", &Image::type, Effect::replace),       field("source", &Image::source, Effect::replace),
            field("options", &Image::options, Effect::replace), field("fingerprint", &Image::fingerprint, Effect::replace),
            field("aliases", &Image::aliases, Effect::live),    field("properties", &Image::properties, Effect::live),
            field("public", &Image::shared, Effect::live),      field("auto_update", &Image::auto_update, Effect::live)};
    }
    bool operator==(const Image&) const = default;
};

/// What holds data in a pool: a container's root filesystem, POOL/NAME, or a custom volume, POOL/custom/NAME.
struct Volume {
    static constexpr ObjectKind kind = ObjectKind::volume;

    std::optional<std::string> image;  ///< name of the image it was cloned from
    std::optional<std::string> idmap;  ///< whose ids the files are seen with; see Container::idmap
    std::optional<std::int64_t> size;  ///< bytes it may take; absent or 0: as many as the pool has
    std::optional<bool> mounted;       ///< ready at its path (an overlay has to be mounted after a reboot)

    static constexpr auto fields() {
        return std::tuple{field("image", &Volume::image, Effect::replace), field("idmap", &Volume::idmap, Effect::restart),
                          field("size", &Volume::size, Effect::live), field("mounted", &Volume::mounted, Effect::live)};
    }
    bool operator==(const Volume&) const = default;
};

/// A volume as it was at a moment: POOL/NAME@SNAPSHOT.
struct Snapshot {
    static constexpr ObjectKind kind = ObjectKind::snapshot;

    std::optional<std::string> made;     ///< RFC 3339 in UTC
    std::optional<std::string> expires;  ///< RFC 3339 in UTC; absent: never

    static constexpr auto fields() {
        return std::tuple{field("made", &Snapshot::made, Effect::fixed), field("expires", &Snapshot::expires, Effect::live)};
    }
    bool operator==(const Snapshot&) const = default;
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
        mounts;                                ///< path in the container → "SOURCE[ ro][ rbind][ optional]", \040-escaped
    std::optional<std::int64_t> memory_limit;  ///< bytes; limits.memory
    std::optional<std::int64_t> memory_soft_limit;  ///< bytes; limits.memory where limits.memory.enforce is soft
    std::optional<std::int64_t> swap_limit;         ///< bytes of swap on top of memory, 0 for none; limits.memory.swap
    std::optional<std::int64_t> swappiness;         ///< 0 to 100; limits.memory.swap.priority
    std::optional<std::map<std::string, std::string>> hugepage_limits;  ///< page size → bytes; limits.hugepages.*
    std::optional<std::int64_t> process_limit;                          ///< limits.processes
    std::optional<std::string> cpu_set;                                 ///< kernel list, "0-1"; limits.cpu as a set
    std::optional<std::string> cpu_nodes;                               ///< kernel list of memory nodes; limits.cpu.nodes
    std::optional<std::int64_t> cpu_shares;   ///< cpu.shares of cgroup version 1; limits.cpu.allowance in %, .priority
    std::optional<std::string> cpu_quota;     ///< "QUOTA/PERIOD" in microseconds; limits.cpu.allowance as a time
    std::optional<std::int64_t> disk_weight;  ///< blkio.weight, 10 to 1000; limits.disk.priority
    std::optional<std::map<std::string, std::string>>
        disk_limits;  ///< absolute path on the host → "read=… write=…" of its block device; limits.read, limits.write
    std::optional<std::map<std::string, std::string>> kernel_limits;  ///< resource → "SOFT:HARD"; limits.kernel.*
    std::optional<std::vector<std::string>> kernel_modules;           ///< loaded before it starts; linux.kernel_modules
    std::optional<std::map<std::string, std::string>>
        devices;  ///< path in the container → "c MAJOR:MINOR MODE UID:GID", ids as the container sees them; unix-char
    std::optional<std::string> seccomp;                      ///< policy in liblxc's format; security.syscalls.*, raw.seccomp
    std::optional<std::map<std::string, std::string>> seed;  ///< cloud-init's NoCloud files by name
    std::optional<std::vector<std::string>> raw;             ///< further liblxc lines, "key = value"; raw.lxc
    std::optional<bool> autostart;                           ///< boot.autostart
    std::optional<std::int64_t> autostart_priority;
    std::optional<std::int64_t> autostart_delay;  ///< seconds
    std::optional<std::int64_t> stop_priority;    ///< boot.stop.priority
    std::optional<std::int64_t> stop_timeout;     ///< seconds to end by itself; boot.host_shutdown_timeout
    std::optional<ContainerState> state;

    static constexpr auto fields() {
        return std::tuple{field("rootfs", &Container::rootfs, Effect::restart),
                          field("idmap", &Container::idmap, Effect::restart),
                          field("environment", &Container::environment, Effect::restart),
                          field("mounts", &Container::mounts, Effect::hotplug),
                          field("memory_limit", &Container::memory_limit, Effect::live),
                          field("memory_soft_limit", &Container::memory_soft_limit, Effect::live),
                          field("swap_limit", &Container::swap_limit, Effect::live),
                          field("swappiness", &Container::swappiness, Effect::live),
                          field("hugepage_limits", &Container::hugepage_limits, Effect::live),
                          field("process_limit", &Container::process_limit, Effect::live),
                          field("cpu_set", &Container::cpu_set, Effect::live),
                          field("cpu_nodes", &Container::cpu_nodes, Effect::live),
                          field("cpu_shares", &Container::cpu_shares, Effect::live),
                          field("cpu_quota", &Container::cpu_quota, Effect::live),
                          field("disk_weight", &Container::disk_weight, Effect::live),
                          field("disk_limits", &Container::disk_limits, Effect::live),
                          field("kernel_limits", &Container::kernel_limits, Effect::restart),
                          field("kernel_modules", &Container::kernel_modules, Effect::live),
                          field("devices", &Container::devices, Effect::hotplug),
                          field("seccomp", &Container::seccomp, Effect::restart),
                          field("seed", &Container::seed, Effect::live),
                          field("raw", &Container::raw, Effect::restart),
                          field("autostart", &Container::autostart, Effect::live),
                          field("autostart_priority", &Container::autostart_priority, Effect::live),
                          field("autostart_delay", &Container::autostart_delay, Effect::live),
                          field("stop_priority", &Container::stop_priority, Effect::live),
                          field("stop_timeout", &Container::stop_timeout, Effect::live),
                          field("state", &Container::state, Effect::live)};
    }
    bool operator==(const Container&) const = default;
};

/// What hands on connections between the host and a container: CONTAINER:DEVICE.
struct Proxy {
    static constexpr ObjectKind kind = ObjectKind::proxy;

    std::optional<std::string> listen;   ///< tcp:ADDRESS:PORTS, udp:ADDRESS:PORTS, unix:PATH or unix:@NAME
    std::optional<std::string> connect;  ///< in the same words
    std::optional<std::string> bind;     ///< where it listens: host or container
    std::optional<std::map<std::string, std::string>>
        options;                  ///< proxy_protocol, mode, uid, gid, security.uid, security.gid
    std::optional<bool> running;  ///< with all that the other fields say, and into the container that runs now

    static constexpr auto fields() {
        return std::tuple{field("listen", &Proxy::listen, Effect::restart),
                          field("connect", &Proxy::connect, Effect::restart), field("bind", &Proxy::bind, Effect::restart),
                          field("options", &Proxy::options, Effect::restart),
                          field("running", &Proxy::running, Effect::live)};
    }
    bool operator==(const Proxy&) const = default;
};

/// What a container has to have reached before those that depend on it start: CONTAINER:CONDITION. Nothing on the host: it
/// is "made" by waiting for it.
struct Readiness {
    static constexpr ObjectKind kind = ObjectKind::readiness;

    std::optional<std::string> condition;               ///< address, port, cloud-init or exec
    std::optional<std::vector<std::string>> arguments;  ///< the port, or the command
    std::optional<std::int64_t> timeout;                ///< seconds

    static constexpr auto fields() {
        return std::tuple{field("condition", &Readiness::condition, Effect::live),
                          field("arguments", &Readiness::arguments, Effect::live),
                          field("timeout", &Readiness::timeout, Effect::live)};
    }
    bool operator==(const Readiness&) const = default;
};

using Object = std::variant<Sysctl, Netns, Link, Route, Neighbour, OvsBridge, OvsPort, OvsFlows, NftTable, DnsService, Pool,
                            Image, Volume, Snapshot, Container, Proxy, Readiness>;

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
