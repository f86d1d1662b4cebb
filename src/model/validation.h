#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "base/diagnostics.h"
#include "model/ip.h"
#include "model/resource.h"

// What the parts of validation share; nobody else includes this.

namespace ctl::model {

/// A stack under examination. Every fault is told once, however many containers inherit it.
class Validation {
public:
    Validation(const resource::Stack& examined, Diagnostics& diagnostics);

    void error(std::string_view rule, const std::string& message, const SourceSpan& where, const std::string& hint);
    /// A fault of one value that the schema may have told already: nothing is added if an error stands at that place.
    void value_error(std::string_view rule, const std::string& message, const SourceSpan& where, const std::string& hint);

    /// "did you mean X" when a name is near, else `otherwise`.
    [[nodiscard]] std::string suggestion(std::string_view name, const std::vector<std::string_view>& known,
                                         const std::string& otherwise);

    /// The same for the names in an index.
    template <typename T>
    [[nodiscard]] std::string suggestion(std::string_view name, const std::map<std::string_view, T>& known,
                                         const std::string& otherwise) {
        std::vector<std::string_view> names;
        if (suggestions_left_ != 0)
            for (const auto& [known_name, thing] : known) names.push_back(known_name);
        return suggestion(name, names, otherwise);
    }

    /// The declared network of that name, or null.
    [[nodiscard]] const resource::Network* network(std::string_view name) const;

    /// The link at the bottom of a chain of macvlans: those with the same one share a segment.
    [[nodiscard]] std::string_view segment(std::string_view link) const;

    const resource::Stack& stack;
    std::map<std::string_view, const resource::Network*> networks;
    std::map<std::string_view, const resource::NetworkAcl*> acls;
    std::map<std::string_view, const resource::StoragePool*> pools;
    std::map<std::string, const resource::Volume*, std::less<>> volumes;  ///< by POOL/NAME
    std::map<std::string_view, const resource::Image*> images;            ///< by name and by alias
    std::map<std::string_view, const resource::Profile*> profiles;
    std::map<std::string_view, const resource::Container*> containers;

private:
    using Place = std::tuple<std::string, unsigned, unsigned>;
    [[nodiscard]] static Place place_of(const SourceSpan& where);

    Diagnostics& diagnostics_;
    std::set<Place> schema_faults_;
    std::set<std::tuple<Place, std::string, std::string>> told_;
    unsigned suggestions_left_ = 50;
};

/// An edge of a graph of names, with the place it is written.
struct NamedEdge {
    std::string from;
    std::string to;
    SourceSpan where;
};
/// The cycles that following one edge from each name runs into; each is told once, from its smallest name on.
[[nodiscard]] std::vector<std::vector<NamedEdge>> find_cycles(const std::vector<NamedEdge>& edges);
/// "a (stack.yaml:3:5) -> b (stack.yaml:9:5) -> a"; of a very long one the first hundred.
[[nodiscard]] std::string cycle_text(const std::vector<NamedEdge>& cycle);

/// The key of a network's MTU: bridge.mtu or mtu.
[[nodiscard]] std::string_view mtu_key(const resource::Network& network);
/// An MTU is in range, and not greater than that of the network it hangs on (null: none that is declared). `role` is what
/// that network is to it: "its parent".
void check_mtu(Validation& validation, const Value& value, const resource::Network* below, std::string_view role);
/// The subnets a network declares, with its own address in each.
[[nodiscard]] std::vector<std::pair<Cidr, SourceSpan>> subnets_of(const resource::Network& network);
/// Why an interface can't have the address ("is the network address of 10.0.0.0/24"), or "".
[[nodiscard]] std::string unusable_reason(const Cidr& cidr);

void validate_names(Validation& validation);
void validate_networks(Validation& validation);
/// Ranges, gateways and what else the networks' DHCP and DNS keys say.
void validate_dhcp(Validation& validation);
void validate_interface_owners(Validation& validation);
/// NAT keys and ACLs of networks.
void validate_network_firewalls(Validation& validation);
void validate_acls(Validation& validation);
void validate_forwards(Validation& validation);
/// What only bridges of Open vSwitch have: controllers, VLANs of another bridge.
void validate_open_vswitch(Validation& validation);
void validate_tunnels(Validation& validation);
void validate_fans(Validation& validation);
void validate_images(Validation& validation);
void validate_containers(Validation& validation);

/// The checks of one device that concern nothing else in its container; it has to be complete, not an override.
void validate_nic(Validation& validation, const std::string& device_name, const resource::Device& device);
/// The `vlan` of what stands on an interface: PARENT.VLAN is one of the host.
void check_vlan_interface(Validation& validation, const Config& keys);
/// What goes with its nictype: addresses, gateways, routes.
void validate_nic_type(Validation& validation, const std::string& device_name, const resource::Device& device);
/// What the NICs of one container are to each other.
void validate_nic_gateways(Validation& validation, const resource::Container& container);
/// Its vlan and vlan.tagged.
void validate_nic_vlans(Validation& validation, const std::string& device_name, const resource::Device& device);
/// A NIC's security.* keys.
void validate_nic_security(Validation& validation, const std::string& device_name, const resource::Device& device);
/// A device of type unix-char or unix-block.
void validate_unix_device(Validation& validation, const std::string& device_name, const resource::Device& device);
/// Names that the tools of pools take, and keys that exclude each other.
void validate_pools(Validation& validation);
/// Custom volumes, and what pools can't do for what is in them.
void validate_volumes(Validation& validation);
void validate_disk(Validation& validation, const std::string& device_name, const resource::Device& device);
/// A disk that names a pool and a source: a custom volume of the stack's.
void validate_volume_disk(Validation& validation, const std::string& device_name, const resource::Device& device);
/// A size that the pool can hold somebody to.
void check_volume_size(Validation& validation, const Value& pool, const Value& size);

/// A NIC whose address its network gives out has no say in the gateway.
void check_reserved_gateway(Validation& validation, const resource::Device& device, std::string_view family);

/// The link a NIC hangs on: a declared network or an interface of the host; null for p2p.
[[nodiscard]] const Value* nic_parent(const resource::Device& device);
/// The NIC's name in the container.
[[nodiscard]] Value nic_name(const std::string& device_name, const resource::Device& device);
/// A NIC's static addresses of a family ("ipv4", "ipv6") that are good; faults of the others are told.
[[nodiscard]] std::vector<Cidr> nic_addresses(Validation& validation, const resource::Device& device,
                                              std::string_view family);

/// Keeps what stands on which interface of the host over all containers: not everything bears company.
class ParentUse {
public:
    explicit ParentUse(Validation& validation);

    /// A NIC of `user` ("device eth0 of container web").
    void add_nic(const std::string& user, const resource::Device& device);

private:
    struct Use {
        std::string user;
        std::string type;
        std::string mode;  ///< of an ipvlan
        SourceSpan where;
    };
    Validation& validation_;
    std::map<std::string, std::vector<Use>, std::less<>> uses_;
};

/// Keeps who has which address, MAC, route and host-side name over all containers.
class Uniqueness {
public:
    explicit Uniqueness(Validation& validation);

    /// A NIC of `user` ("device eth0 of container web").
    void add_nic(const std::string& user, const resource::Device& device);

private:
    void add_addresses(std::string_view family, const std::string& user, const resource::Device& device);
    void add_routes(std::string_view family, const std::string& user, const Config& keys);
    /// Tells a fault if another has claimed the same thing; `what` is how the message calls it.
    void claim(std::string_view rule, const std::string& key, const std::string& what, const std::string& user,
               const SourceSpan& where);

    struct Claim {
        std::string user;
        SourceSpan where;
    };
    Validation& validation_;
    std::map<std::string, Claim, std::less<>> claims_;
};

}  // namespace ctl::model
