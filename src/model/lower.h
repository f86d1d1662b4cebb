#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/diagnostics.h"
#include "model/follow.h"
#include "model/host_state.h"
#include "model/resource.h"

namespace ctl::model {

/// Where things live on the host, and what of it a new network has to keep clear of; the only facts of a host that lowering
/// needs.
struct HostLayout {
    std::string state_dir = "/var/lib/ctl";
    std::string run_dir = "/run/ctl";
    std::string working_dir = "/";  ///< what relative manifest file names are relative to
    std::string machine_id{};       ///< machine-id(5): tells this host from others with the same stack; may be empty
    bool has_ipv6 = true;           ///< the kernel speaks it
    bool has_ovs_datapath = true;   ///< the kernel has Open vSwitch's
    std::int64_t memory = 0;        ///< bytes, of which limits.memory can name a part; 0 where no host is meant
    std::set<Cidr> subnets{};       ///< routed or on a link of the host: no `auto` address may overlap them
    /// Addresses of the host's own links, with their subnets; among them those of the links that default routes lead out by.
    /// Given only where Lowered::asks_for_addresses.
    std::set<Cidr> addresses{};
    std::set<Cidr> uplink_addresses{};
};

/// A path as its author meant it: relative ones start at the manifest's own folder.
[[nodiscard]] std::string absolute_path(const Value& path, const HostLayout& layout);

/// What is chosen once and kept: "mac/web/eth0" → "00:16:3e:…", "veth/web/eth0" → "ctl3f2a91c0", "subnet4/lxdbr0" →
/// "10.7.9.1/24", "datapath/ovs-br0" → "netdev".
using Allocations = std::map<std::string, std::string>;

struct Lowered {
    HostState desired;
    std::vector<FollowedLink> followed;  ///< what of the desired state only the observed host tells; by link
    Allocations allocations;             ///< those given plus the new ones, without those nothing uses any more
    Diagnostics diagnostics;          ///< notes a person should read beside the plan; errors when no allocation was possible
    bool asks_for_addresses = false;  ///< it depends on addresses that the host has: see HostLayout::addresses
};

/// Objects for a valid stack, which may be unresolved. Pure: the same input gives the same output, whatever the order of
/// its resources; new allocations are derived from names and step aside for `taken` values (those of other stacks).
[[nodiscard]] Lowered lower(const resource::Stack& stack, const Allocations& known, const HostLayout& layout,
                            const Allocations& taken = {});

}  // namespace ctl::model
