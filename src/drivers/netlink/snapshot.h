#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "drivers/netlink/socket.h"
#include "model/object.h"

namespace ctl::drivers::netlink {

struct AddressRecord {
    model::Cidr cidr;
    unsigned char protocol = 0;  ///< who put it there; 0 if the kernel doesn't say
};

/// A link as the kernel reports it, other links still by number.
struct LinkRecord {
    int index = 0;
    std::string name;
    std::string kind;  ///< the kernel's word: "bridge", "veth", …; "" for hardware
    std::string alias;
    std::string mac;
    unsigned flags = 0;
    unsigned group = 0;
    unsigned mtu = 0;
    int master = 0;
    int lower = 0;                       ///< macvlan's parent, veth's peer, vxlan's device
    std::optional<int> lower_namespace;  ///< number of the namespace that `lower` is in, if it is another one
    bool ipv6 = false;
    std::optional<bool> isolated;  ///< ports of bridges only
    std::optional<std::string> mode;
    std::optional<std::int64_t> vni;
    std::optional<std::string> local;
    std::optional<std::string> remote;
    std::optional<std::int64_t> port;
    std::optional<std::int64_t> ttl;
    std::optional<std::int64_t> vlan;
    std::optional<bool> gvrp;
    std::vector<AddressRecord> addresses;  ///< without the kernel's own fe80::

    // Only after read_limits():
    std::optional<std::int64_t> send_limit;     ///< bits a second, by us
    std::optional<std::int64_t> receive_limit;  ///< bits a second, by us
    bool has_our_qdisc = false;
    bool has_our_filter = false;
    bool has_ingress_qdisc = false;

    [[nodiscard]] std::optional<model::LinkType> type() const { return model::enum_from<model::LinkType>(kind); }
    /// In a group of ours: made by us.
    [[nodiscard]] bool in_our_group() const;
    [[nodiscard]] std::set<model::Cidr> cidrs() const;
};

/// A unicast route of the main table that the kernel did not make itself.
struct RouteRecord {
    model::Cidr destination;
    std::optional<model::IpAddress> via;
    int link = 0;
    std::uint32_t metric = 0;
    unsigned char protocol = 0;
};

/// What one network namespace held at one time.
struct Snapshot {
    std::vector<LinkRecord> links;    ///< by index
    std::vector<RouteRecord> routes;  ///< by destination, ours first, then by metric

    [[nodiscard]] const LinkRecord* link(int index) const;
    [[nodiscard]] const LinkRecord* link(std::string_view name) const;
    [[nodiscard]] const RouteRecord* route(const model::Cidr& destination) const;
};

[[nodiscard]] Result<Snapshot> read_snapshot(Socket& socket);

/// The index, or 0 if there is no such link.
[[nodiscard]] Result<std::vector<int>> find_links(Socket& socket, std::span<const std::string> names);

/// Does this message of a subscribed socket tell of something that a snapshot would show?
[[nodiscard]] bool is_relevant(const nlmsghdr* message);

/// Network byte order, 4 or 16 bytes.
[[nodiscard]] Bytes bytes_of(const model::IpAddress& address);
/// Nothing unless it has the length of one.
[[nodiscard]] std::optional<model::IpAddress> address_from(Bytes bytes);

}  // namespace ctl::drivers::netlink
