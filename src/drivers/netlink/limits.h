#pragma once

#include <cstdint>
#include <vector>

#include "drivers/netlink/snapshot.h"

// Rate limits by traffic control. What leaves by a link is shaped by a class of htb; what comes in by it is policed by a u32
// filter of its ingress qdisc. Both are ours by their numbers: the handle 199: and the preference 199. Others' filters
// stay; a link has only one root qdisc, so a limit of what leaves takes the place of others'.

namespace ctl::drivers::netlink {

/// Fills in what links let through, for those that we may have limited.
[[nodiscard]] Status read_limits(Socket& socket, Snapshot& snapshot);

/// What brings the limits of `wanted` about, to be sent in this order: bits a second, 0 for none, absent for those that stay
/// as they are. Nothing for what is so already.
[[nodiscard]] std::vector<Request> limit_requests(const LinkRecord& now, const model::Link& wanted);

/// Does this message of a subscribed socket tell of a limit that may be ours?
[[nodiscard]] bool is_about_limits(const nlmsghdr* message);

}  // namespace ctl::drivers::netlink
