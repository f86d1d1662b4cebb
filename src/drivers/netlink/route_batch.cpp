#include "drivers/netlink/route_batch.h"

#include <fmt/format.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <cerrno>
#include <map>

#include "base/text.h"
#include "drivers/netlink/names.h"
#include "drivers/netlink/snapshot.h"

namespace ctl::drivers::netlink {

namespace {

using diff::Verb;
using model::Cidr;
using model::IpAddress;

struct Target {
    std::string netns;
    Cidr destination;
};

Result<Target> target_of(const model::ObjectId& id) {
    // Without a scope it is an IPv4 destination on the host.
    const auto name = model::ScopedName::parse(id.name);
    const auto destination = Cidr::parse(name.name);
    if (!destination || destination->network() != *destination)
        return Error(ErrorCode::invalid, fmt::format("{} is no route's destination", ctl::quoted(name.name)));
    return Target{name.netns, *destination};
}

/// To neighbours without a gateway: only such a route of IPv4 may itself lead to a gateway.
unsigned char scope_of(const Cidr& destination, bool has_gateway) {
    const bool is_v4 = destination.address.family == IpAddress::Family::v4;
    return is_v4 && !has_gateway ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
}

Request route_request(unsigned type, unsigned flags, const Cidr& destination, unsigned char scope,
                      unsigned char protocol = our_protocol) {
    rtmsg fixed{};
    fixed.rtm_family = destination.address.family == IpAddress::Family::v4 ? AF_INET : AF_INET6;
    fixed.rtm_dst_len = static_cast<unsigned char>(destination.prefix);
    fixed.rtm_table = RT_TABLE_MAIN;
    fixed.rtm_type = type == RTM_NEWROUTE ? RTN_UNICAST : RTN_UNSPEC;
    fixed.rtm_protocol = type == RTM_NEWROUTE ? protocol : RTPROT_UNSPEC;
    fixed.rtm_scope = scope;
    Request request(type, flags, bytes_of(fixed));
    if (destination.prefix != 0) request.bytes(RTA_DST, bytes_of(destination.address));
    return request;
}

/// The wanted route over what is there: fields that nobody names stay.
Result<Request> set_request(const diff::Change& change, const Target& target, const RouteRecord* now,
                            const Snapshot& snapshot) {
    const auto* route = change.desired ? std::get_if<model::Route>(&change.desired->object) : nullptr;
    if (route == nullptr) return Error(ErrorCode::internal, "the change does not say what the route shall be");
    // In a container's namespace ours goes before one that a router has announced there, which no snapshot shows.
    const bool replaces = now != nullptr || !target.netns.empty();
    const unsigned flags = NLM_F_CREATE | (replaces ? NLM_F_REPLACE : NLM_F_EXCL);
    const unsigned char scope = scope_of(target.destination, route->via.has_value());
    Request request = route_request(RTM_NEWROUTE, flags, target.destination, scope);
    if (route->via) {
        const auto gateway = IpAddress::parse(*route->via);
        if (!gateway || gateway->family != target.destination.address.family)
            return Error(ErrorCode::invalid, fmt::format("{} is no gateway for it", ctl::quoted(*route->via)));
        request.bytes(RTA_GATEWAY, bytes_of(*gateway));
    }
    if (route->dev) {
        const LinkRecord* link = snapshot.link(*route->dev);
        if (link == nullptr)
            return Error(ErrorCode::not_found, fmt::format("its link {} is not there", ctl::quoted(*route->dev)));
        request.u32(RTA_OIF, static_cast<std::uint32_t>(link->index));
    } else if (now != nullptr && !route->via) {
        request.u32(RTA_OIF, static_cast<std::uint32_t>(now->link));
    }
    if (now != nullptr && now->metric != 0) request.u32(RTA_PRIORITY, now->metric);
    return request;
}

/// The route as it is, with the number of routes that people set by hand instead of ours.
Request give_back_request(const Target& target, const RouteRecord& now) {
    Request request = route_request(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, target.destination,
                                    scope_of(target.destination, now.via.has_value()), RTPROT_STATIC);
    if (now.via) request.bytes(RTA_GATEWAY, bytes_of(*now.via));
    if (now.link != 0) request.u32(RTA_OIF, static_cast<std::uint32_t>(now.link));
    if (now.metric != 0) request.u32(RTA_PRIORITY, now.metric);
    return request;
}

Request remove_request(const Target& target, const RouteRecord& now) {
    Request request = route_request(RTM_DELROUTE, 0, target.destination, RT_SCOPE_NOWHERE);
    if (now.link != 0) request.u32(RTA_OIF, static_cast<std::uint32_t>(now.link));
    if (now.metric != 0) request.u32(RTA_PRIORITY, now.metric);
    return request;
}

class RouteBatch {
public:
    explicit RouteBatch(Scopes& scopes) : scopes_(scopes) {}

    Status apply(const diff::Change& change) {
        CTL_ASSIGN(const Target target, target_of(change.id));
        Scope* scope = scopes_.find(target.netns);
        if (scope == nullptr && change.verb == Verb::remove) return ok();
        if (scope == nullptr)
            return Error(ErrorCode::not_found, fmt::format("the network namespace of {} is not there", target.netns));
        if (!snapshots_.contains(target.netns)) {
            CTL_ASSIGN(snapshots_[target.netns], read_snapshot(scope->socket));
        }
        const Snapshot& snapshot = snapshots_[target.netns];
        const RouteRecord* now = snapshot.route(target.destination);
        const bool is_ours = now != nullptr && (now->protocol == our_protocol || !target.netns.empty());
        switch (change.verb) {
            case Verb::remove:
                if (now == nullptr) return ok();
                if (!is_ours) return Error(ErrorCode::conflict, "the route carries no mark of ours, so it is not deleted");
                return send(*scope, remove_request(target, *now));
            case Verb::forget:
                if (now == nullptr || now->protocol != our_protocol) return ok();
                return send(*scope, give_back_request(target, *now));
            case Verb::create:
            case Verb::update:
                if (now != nullptr && !is_ours)
                    return Error(ErrorCode::conflict, "a route to that destination is there and is not ours")
                        .hint("delete it, or set lifecycle.adopt to take it over");
                break;
            case Verb::adopt:
            case Verb::replace:
            case Verb::stop: break;
        }
        CTL_ASSIGN(auto request, set_request(change, target, now, snapshot));
        return send(*scope, std::move(request));
    }

private:
    Status send(Scope& scope, Request request) {
        CTL_ASSIGN(const auto answers, scope.socket.transact({&request, 1}));
        const Answer& answer = answers.front();
        if (answer.is_ok() || answer.error == ESRCH) return ok();
        return answer.as_error("the kernel");
    }

    Scopes& scopes_;
    std::map<std::string, Snapshot> snapshots_;
};

}  // namespace

std::vector<Status> apply_routes(Scopes& scopes, std::span<const diff::Change* const> changes) {
    RouteBatch batch(scopes);
    std::vector<Status> outcomes;
    for (const diff::Change* change : changes) {
        Status outcome = batch.apply(*change);
        if (!outcome) outcome = std::move(outcome).error().while_(doing(*change));
        outcomes.push_back(std::move(outcome));
    }
    return outcomes;
}

}  // namespace ctl::drivers::netlink
