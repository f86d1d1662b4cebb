#pragma once

#include <span>
#include <vector>

#include "diff/change.h"
#include "drivers/netlink/scopes.h"

namespace ctl::drivers::netlink {

/// Brings changes of neighbours about; one outcome for each, in their order.
[[nodiscard]] std::vector<Status> apply_neighbours(Scopes& scopes, std::span<const diff::Change* const> changes);

}  // namespace ctl::drivers::netlink
