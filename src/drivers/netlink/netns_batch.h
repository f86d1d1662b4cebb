#pragma once

#include <span>
#include <stop_token>
#include <vector>

#include "diff/change.h"
#include "drivers/netlink/scopes.h"

namespace ctl::drivers::netlink {

/// Makes, marks and removes network namespaces; one outcome for each change, in their order. A removal is done when the host
/// ends of the namespace's veths have gone.
[[nodiscard]] std::vector<Status> apply_namespaces(Scopes& scopes, std::span<const diff::Change* const> changes,
                                                   const std::stop_token& stop);

}  // namespace ctl::drivers::netlink
