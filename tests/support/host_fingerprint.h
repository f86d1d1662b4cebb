#pragma once

#include <set>
#include <string>
#include <vector>

namespace ctl::testing {

/// What tests must leave as it was on the machine itself, one fact a line: links, addresses, routes, rules of nftables,
/// settings of the network, loop devices, mounts, namespaces with a name, cgroups and processes of the kinds that ctl makes,
/// directories that only ctl writes to, scratch directories.
using HostFingerprint = std::set<std::string>;

[[nodiscard]] HostFingerprint take_host_fingerprint();

/// "gone: …" and "new: …", a line per fact.
[[nodiscard]] std::vector<std::string> differences(const HostFingerprint& before, const HostFingerprint& after);

}  // namespace ctl::testing
