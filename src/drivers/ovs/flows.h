#pragma once

#include <span>
#include <vector>

#include "diff/change.h"
#include "drivers/api/driver.h"
#include "drivers/ovs/database.h"
#include "drivers/ovs/rows.h"

// Objects that are flows on bridges. A network's flows carry a cookie that is made of its name; whose network it is, its
// bridge or fake bridge in the database says.

namespace ctl::drivers::ovs {

/// Adds what `interest` covers to `state`. A bridge that doesn't answer has no flows, unless one of them is named.
[[nodiscard]] Status observe_flows(Switches& switches, const Rows& rows, const Interest& interest, model::HostState& state);

/// An outcome per change, in their order; all are of flows.
[[nodiscard]] std::vector<Status> apply_flows(Database& database, std::span<const diff::Change* const> changes);

}  // namespace ctl::drivers::ovs
