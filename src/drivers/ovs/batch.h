#pragma once

#include <span>
#include <stop_token>
#include <vector>

#include "diff/change.h"
#include "drivers/ovs/database.h"

namespace ctl::drivers::ovs {

/// Makes the changes so in one transaction (two, where a port has to be unplugged first), and waits for ovs-vswitchd to
/// have brought it about. An outcome per change, in their order.
[[nodiscard]] std::vector<Status> apply_batch(Database& database, std::span<const diff::Change* const> changes,
                                              const std::stop_token& stop);

}  // namespace ctl::drivers::ovs
