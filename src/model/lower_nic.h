#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "model/lowering.h"

// What the types of NICs share while one becomes objects; nobody else includes this.

namespace ctl::model {

/// One NIC of one container on its way to links, routes and neighbours.
struct Nic {
    Nic(Lowering& lowering_state, const resource::Container& of, const std::string& name, const resource::Device& keys);

    Lowering& lowering;
    const resource::Container& container;
    const std::string& device_name;
    const resource::Device& device;
    /// lxc.network.* settings of raw.lxc, for what the device says nothing of itself.
    std::map<std::string, std::string> old_settings{};

    ResourceRef owner;
    std::string interface;  ///< its name inside the container
    ObjectId id;            ///< the link inside
    Link link{};            ///< the same; each type adds its own
    std::vector<Need> needs;
    std::map<std::string, SourceSpan> places{};
    std::set<Cidr> reserved{};           ///< what its network's DHCP gives it
    std::optional<ObjectId> host_end{};  ///< the host's link that leads to it
    std::vector<ObjectId> ground{};      ///< what has to be there before the container starts, beside the link itself

    /// The value of one of its keys, or null.
    [[nodiscard]] const Value* key(std::string_view name) const;
    /// A setting of the device, or the old lxc.network.* line for it.
    [[nodiscard]] std::optional<Value> setting(std::string_view device_key, const std::string& old_key) const;
    /// The link it hangs on: a declared network or an interface of the host; "" for none.
    [[nodiscard]] std::string parent() const;
    /// The declared network it hangs on, or null.
    [[nodiscard]] const resource::Network* network() const;
    /// bridged, macvlan, …
    [[nodiscard]] std::string type() const;
    /// Whether the network gives it an address of the family ("ipv4", "ipv6").
    [[nodiscard]] bool is_served(std::string_view family) const;

    /// A further object of the container's; the place is the device's.
    Entry& add(ObjectId other, Object object, std::vector<Need> its_needs);
    /// Switches a setting of the host on, of which there is one however many NICs ask for it.
    void switch_on(const std::string& sysctl, std::vector<Need> its_needs);
};

[[nodiscard]] constexpr std::string_view family_name(IpAddress::Family family) {
    return family == IpAddress::Family::v4 ? "ipv4" : "ipv6";
}

/// A veth pair whose host end is a port of a bridge, or of nothing.
void lower_bridged_nic(Nic& nic);
void lower_p2p_nic(Nic& nic);
/// A veth pair without a bridge: the host routes to the container's addresses and answers for them on the parent.
void lower_routed_nic(Nic& nic);
/// A link that stands on a link of the host, or is one.
void lower_macvlan_nic(Nic& nic);
void lower_ipvlan_nic(Nic& nic);
void lower_physical_nic(Nic& nic);

/// The host's end of its veth pair. The caller adds what it is for.
Entry& lower_host_end(Nic& nic, Link host_link, std::vector<Need> needs);
/// The host's routes to what is behind it (ipv4.routes, ipv6.routes), by that link of the host.
void lower_nic_routes(Nic& nic, const ObjectId& host_link);

/// The host's link that it stands on: its parent, or the VLAN of it that is made for all that want it.
[[nodiscard]] std::string lower_ground(Nic& nic, const std::string& parent);
/// The host routes what comes for the NIC's addresses to that link of its own, and answers for them on `parent`, unless
/// that is "".
void announce_addresses(Nic& nic, const std::string& parent, const std::string& host_link);
/// A route inside the container by the NIC. `via` empty: to its neighbours.
Entry& add_inner_route(Nic& nic, const std::string& destination, const std::optional<std::string>& via);
/// Lets the host route what comes by that link.
void let_forward(Nic& nic, IpAddress::Family family, const std::string& host_link);

}  // namespace ctl::model
