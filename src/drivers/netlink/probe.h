#pragma once

#include <map>
#include <optional>

#include "base/result.h"
#include "model/object.h"

namespace ctl::drivers::netlink {

/// True if the process may change the network: CAP_NET_ADMIN and CAP_SYS_ADMIN are effective.
[[nodiscard]] bool may_change_network();

/// Which link types and limits this kernel makes, found out by making one of each kind asked for in a throwaway network
/// namespace.
class KernelProbe {
public:
    /// Nothing wrong, or the kernel's own error.
    [[nodiscard]] const Status& supports(model::LinkType type);
    /// The same for limits of what leaves by a link, and of what comes in.
    [[nodiscard]] const Status& limits_sending();
    [[nodiscard]] const Status& limits_receiving();

private:
    std::map<model::LinkType, Status> known_;
    std::optional<Status> limits_sending_;
    std::optional<Status> limits_receiving_;
};

}  // namespace ctl::drivers::netlink
