#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "model/allocate.h"
#include "model/lower.h"
#include "model/resource.h"

// What the parts of lowering share; nobody else includes this.

namespace ctl::model {

/// The ids of the host that an unprivileged container is given unless it says otherwise. LXD's packages reserve the same
/// range for root in /etc/subuid.
inline constexpr std::int64_t default_first_id = 100'000;
inline constexpr std::int64_t default_id_count = 65'536;

/// A container's NIC on a network of the stack, as what serves that network has to know it.
struct Attachment {
    const resource::Container* container;
    const resource::Device* device;
    std::string interface;       ///< its name inside the container
    std::string mac;             ///< lower-case, colons
    std::string host_interface;  ///< the host's end of its veth pair; "" for a macvlan
    std::set<Cidr> addresses;    ///< set inside the container, or reserved for it where the network serves DHCP
};

/// A stack on its way to objects.
struct Lowering {
    const resource::Stack& stack;  ///< resolved
    const HostLayout& layout;
    Allocator allocator;
    std::map<std::string, const resource::Network*, std::less<>> networks;
    std::map<std::string, const resource::StoragePool*, std::less<>> pools;
    std::map<std::string, const resource::Image*, std::less<>> images;
    std::map<std::string, std::set<Cidr>, std::less<>>
        network_addresses{};  ///< filled by lower_network: a network's own addresses
    /// By network; filled by lower_nics, read by lower_network_services.
    std::map<std::string, std::vector<Attachment>, std::less<>> attachments{};
    /// By volume; filled as containers attach it: whose ids its files are seen with, and which container said so.
    std::map<ObjectId, std::pair<std::string, std::string>> volume_users{};
    HostState desired{};
    std::vector<FollowedLink> followed{};
    Diagnostics diagnostics{};
    bool asks_for_addresses = false;  ///< see Lowered

    /// An entry of `owner`'s; the caller fills the object's fields and needs.
    Entry& add(ObjectId id, Object object, const ResourceRef& owner, const SourceSpan& where);
};

/// A boolean key as LXD spells booleans; `otherwise` when absent.
[[nodiscard]] bool bool_value(const Config& config, std::string_view key, bool otherwise);
/// The name of a sysctl of one interface; a dot in the name becomes a slash, as sysctl(8) writes it.
[[nodiscard]] std::string interface_sysctl(std::string_view family, std::string_view interface, std::string_view key);

void lower_pool(Lowering& lowering, const resource::StoragePool& pool);
void lower_image(Lowering& lowering, const resource::Image& image);
/// A custom volume; before any container.
void lower_volume(Lowering& lowering, const resource::Volume& volume);
/// What a bridge that says nothing of addresses is: with one of each family that is auto; and translation goes with auto.
void fill_defaults(resource::Network& network, const HostLayout& layout);
/// The network's own links; before any container.
void lower_network(Lowering& lowering, const resource::Network& network);
/// The host's route to a destination: routes of IPv6 have a scope even there.
[[nodiscard]] ObjectId host_route(const Cidr& destination);
/// The link PARENT.VLAN where the keys have a `vlan`, one for all that stand on it, with GVRP if one of them asks for it;
/// else null.
Entry* lower_vlan(Lowering& lowering, const Config& keys, std::string_view parent, const ResourceRef& owner,
                  const SourceSpan& where);
/// What serves and guards the network (DHCP, DNS, NAT, firewall); after all containers.
void lower_network_services(Lowering& lowering, const resource::Network& network);
/// NAT, firewall, ACLs and forwards of a network, and what keeps its NICs to their own addresses; after all containers.
void lower_firewall(Lowering& lowering, const resource::Network& network);
void lower_container(Lowering& lowering, const resource::Container& container);
/// What a container that is a router translates for those behind it, in its own namespace; `needs` are the container's.
void lower_router(Lowering& lowering, const resource::Container& container, std::vector<Need>& needs);

/// The network's own address of the family with its prefix; nothing before lower_network.
[[nodiscard]] std::optional<Cidr> own_address(const Lowering& lowering, std::string_view network, IpAddress::Family family);
/// What bridges and macvlan networks have in common: their own link on the host, up, with its addresses and MTU.
[[nodiscard]] Link network_link(Lowering& lowering, const resource::Network& network,
                                std::map<std::string, SourceSpan>& places);
/// The MAC of a bridge with addresses: its own, or a chosen one, lest it take the lowest of its ports and its neighbours
/// lose it whenever a port comes or goes.
[[nodiscard]] std::optional<std::string> bridge_mac(Lowering& lowering, const resource::Network& network,
                                                    const std::set<Cidr>& addresses);
/// Lets the kernel route between a network's link and others, where its keys ask for it. `maker`: with whom the link comes
/// and goes.
void lower_routing(Lowering& lowering, const resource::Network& network, const ResourceRef& owner, const ObjectId& maker);

/// A network whose bridge is one of Open vSwitch: the bridge or fake bridge, its link, its external ports and tunnels.
void lower_ovs_network(Lowering& lowering, const resource::Network& network, const ResourceRef& owner);
/// What moves the packets of a bridge of Open vSwitch, "system" or "netdev": as declared, or as it was when the bridge was
/// made.
[[nodiscard]] std::string ovs_datapath(Lowering& lowering, const std::string& bridge);
/// The flows of such a network: what keeps its NICs to their own addresses, and a fan's ways; after all containers.
void lower_ovs_flows(Lowering& lowering, const resource::Network& network);
/// The port of a NIC's host end on such a network.
ObjectId lower_ovs_nic(Lowering& lowering, const resource::Network& network, const resource::Device& device,
                       const ObjectId& host_end, const ResourceRef& owner);

/// The network's DHCP and DNS, if it has anything to serve.
void lower_dns(Lowering& lowering, const resource::Network& network);
[[nodiscard]] bool has_dns_service(const Lowering& lowering, const resource::Network& network);
/// Whether the network tells its IPv6 prefix to hosts on it.
[[nodiscard]] bool announces_ipv6(const Lowering& lowering, std::string_view network);
/// Whether our DHCP server gives out addresses of the family ("ipv4" or "ipv6") on the network.
[[nodiscard]] bool serves_dhcp(const Lowering& lowering, std::string_view network, std::string_view family);

/// What the NICs of a container ask of the container itself.
struct LoweredNics {
    /// To be there before it starts: links with their ports of Open vSwitch, the host's routes to them, the DHCP they ask.
    std::vector<ObjectId> links;
    std::vector<std::string> by_dhcp;  ///< names of interfaces that get their address by DHCP
};
/// `old_settings` are the lxc.network.* lines of raw.lxc, which apply to a container's only NIC.
[[nodiscard]] LoweredNics lower_nics(Lowering& lowering, const resource::Container& container,
                                     const std::map<std::string, std::string>& old_settings);

/// What a container has from a volume: the volume itself, and the directory its files are seen in.
struct VolumeUse {
    ObjectId volume;
    std::string path;
};
/// The volume of a container's root disk, whose files are seen with the ids of `idmap`; nothing without a root disk.
/// `idmap_where`: where the map was written, or nowhere.
[[nodiscard]] std::optional<VolumeUse> lower_root(Lowering& lowering, const resource::Container& container,
                                                  const std::string& idmap, const SourceSpan& idmap_where);
/// The custom volume that a disk of the container names; nothing for other disks.
[[nodiscard]] std::optional<VolumeUse> attach_volume(Lowering& lowering, const resource::Container& container,
                                                     const resource::Device& device, const std::string& idmap);

}  // namespace ctl::model
