#include "model/follow.h"

namespace ctl::model {

void add_followed_routes(HostState& desired, const std::vector<FollowedLink>& followed, const HostState& observed) {
    for (const auto& follower : followed) {
        const Link* link = find_object<Link>(observed, follower.link);
        if (link == nullptr || !link->addresses) continue;
        for (const auto& cidr : *link->addresses) {
            if (cidr.address.family != IpAddress::Family::v4) continue;
            const ObjectId id{ObjectKind::route, Cidr{cidr.address, 32}.str()};
            Route route;
            route.dev = follower.dev;
            // Of two containers with one address the first by name has the route; who wrote a route himself keeps it.
            const auto [entry, is_new] = desired.try_emplace(id);
            if (!is_new) continue;
            entry->second.object = std::move(route);
            entry->second.owner = follower.owner;
            entry->second.where = follower.where;
            entry->second.lifecycle = follower.lifecycle;
            entry->second.needs = {{{ObjectKind::link, follower.dev}, Bond::rebuild},
                                   {{ObjectKind::link, follower.link}, Bond::rebuild}};
        }
    }
}

}  // namespace ctl::model
