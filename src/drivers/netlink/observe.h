#pragma once

#include "drivers/api/driver.h"
#include "drivers/netlink/scopes.h"
#include "drivers/netlink/snapshot.h"

namespace ctl::drivers::netlink {

/// Who a link says it belongs to.
struct Ownership {
    model::Mark mark = model::Mark::none;
    model::ResourceRef owner;
};
[[nodiscard]] Ownership ownership_of(const LinkRecord& link, const model::ObjectId& id);

/// Dumps the namespaces that `interest` is about and tells what they hold, names instead of numbers.
[[nodiscard]] Result<model::HostState> observe_scopes(Scopes& scopes, const Interest& interest, std::stop_token stop);

}  // namespace ctl::drivers::netlink
