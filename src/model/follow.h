#pragma once

#include <string>
#include <vector>

#include "model/host_state.h"

namespace ctl::model {

/// A link in a container that gets its address from somebody else's DHCP, and that the host reaches only by a route of its
/// own to just that address.
struct FollowedLink {
    std::string link;  ///< scoped: test3:eth0
    std::string dev;   ///< the host's link beside it: macvlan3
    ResourceRef owner;
    SourceSpan where;
    Lifecycle lifecycle;
};

/// Adds to `desired` the host's routes to the IPv4 addresses that followed links have now. A link without one has none;
/// those to former addresses are in the record, and go as all that is no longer wanted.
void add_followed_routes(HostState& desired, const std::vector<FollowedLink>& followed, const HostState& observed);

}  // namespace ctl::model
