#pragma once

#include <map>

#include "base/result.h"
#include "model/object.h"

namespace ctl::drivers::netlink {

/// True if the process may change the network: CAP_NET_ADMIN and CAP_SYS_ADMIN are effective.
[[nodiscard]] bool may_change_network();

/// Which link types this kernel makes, found out by making one of each kind asked for in a throwaway network namespace.
class KernelProbe {
public:
    /// Nothing wrong, or the kernel's own error.
    [[nodiscard]] const Status& supports(model::LinkType type);

private:
    std::map<model::LinkType, Status> known_;
};

}  // namespace ctl::drivers::netlink
