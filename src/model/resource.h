#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "model/host_state.h"
#include "model/value.h"

// Resources: what a person declares, in LXD's words. Values are already checked against the schemas when one of these
// exists; names are safe to become paths and interface names after validate().

namespace ctl::model::resource {

/// nic, disk, none, … with all its keys but `type`.
struct Device {
    Value type;  ///< empty in an override
    Config keys;
    SourceSpan where;          ///< the device's name
    bool is_override = false;  ///< `override:` merges into the inherited device of that name instead of replacing it
};
using Devices = std::map<std::string, Device, std::less<>>;

struct Network {
    Value name;
    Value type;  ///< bridge (default), macvlan, …
    Config config;
    Value description;
};

/// One rule of an access control list; what isn't said is empty.
struct AclRule {
    Value action;       ///< allow, reject, drop
    Value state;        ///< enabled (default), disabled, logged
    Value source;       ///< addresses: a list of addresses, subnets and ranges
    Value destination;  ///< addresses
    Value protocol;     ///< tcp, udp, icmp4, icmp6
    Value source_port;  ///< a list of ports and ranges
    Value destination_port;
    Value icmp_type;
    Value icmp_code;
    Value description;
    SourceSpan where;
};

struct NetworkAcl {
    Value name;
    std::vector<AclRule> ingress;  ///< towards the containers
    std::vector<AclRule> egress;   ///< from the containers
    Config config;
    Value description;
};

struct ForwardPort {
    Value protocol;     ///< tcp or udp
    Value listen_port;  ///< a list of ports and ranges
    Value target_address;
    Value target_port;  ///< as many as listen_port, or one; empty: the same ones
    Value description;
    SourceSpan where;
};

/// An address of the host whose traffic goes to containers.
struct NetworkForward {
    Value network;
    Value listen_address;
    Config config;
    std::vector<ForwardPort> ports;
    Value description;
    SourceSpan where;
};

struct Profile {
    Value name;
    Config config;
    Devices devices;
    Value description;
};

struct StoragePool {
    Value name;
    Value driver;
    Config config;
    Value trash;
    Value description;
};

/// A custom volume.
struct Volume {
    Value name;
    Value pool;
    Config config;
    Lifecycle lifecycle;
    Value description;
};

struct ImageSource {
    Value type;  ///< busybox, tarball, file, directory, url, simplestreams, debootstrap, container
    Value path;
    Value fingerprint;
    SourceSpan where;
    Config more{};  ///< the keys that only some types have: rootfs, url, server, alias, suite, …
};

struct Image {
    Value name;
    ImageSource source;
    Value description;
    std::optional<std::vector<Value>> aliases{};  ///< further names
    std::optional<Config> properties{};
    Value shared{};  ///< `public`
    Value auto_update{};
};

/// A container that starts first, and what it has to have reached by then.
struct Dependency {
    Value container;
    Value until;              ///< started (default), address or cloud-init; empty with one of the next two
    Value port;               ///< TCP, answered inside
    std::vector<Value> exec;  ///< a command that succeeds inside
    Value timeout;            ///< seconds
};

struct Container {
    Value name;
    Value image;
    std::vector<Value> profiles;  ///< ["default"] if not given; later wins
    bool profiles_given = false;
    Config config;
    Devices devices;
    std::vector<Dependency> depends_on;
    Lifecycle lifecycle;
    Value state;  ///< running (default), stopped, frozen
    Value description;
};

/// All that one stack declares; the unit of ownership, pruning and planning.
struct Stack {
    std::string name;
    std::vector<StoragePool> storage_pools;
    std::vector<Volume> volumes;
    std::vector<Network> networks;
    std::vector<NetworkAcl> network_acls;
    std::vector<NetworkForward> network_forwards;
    std::vector<Image> images;
    std::vector<Profile> profiles;
    std::vector<Container> containers;

    [[nodiscard]] bool empty() const {
        return storage_pools.empty() && volumes.empty() && networks.empty() && network_acls.empty() &&
               network_forwards.empty() && images.empty() && profiles.empty() && containers.empty();
    }
};

}  // namespace ctl::model::resource
