#pragma once

#include <map>
#include <set>

#include "drivers/api/driver.h"
#include "drivers/netlink/scopes.h"

namespace ctl::drivers::netlink {

/// How much the links among `ids` have carried since they exist: rx_bytes, rx_packets, rx_dropped, rx_errors, and the same
/// for tx. One dump per namespace that has one of them; links that aren't there are left out.
[[nodiscard]] Result<std::map<model::ObjectId, Facts>> read_counters(Scopes& scopes, const std::set<model::ObjectId>& ids);

}  // namespace ctl::drivers::netlink
