#include <fmt/format.h>

#include "model/lower_nic.h"
#include "model/value_types.h"

namespace ctl::model {

ObjectId host_route(const Cidr& destination) {
    const bool is_v4 = destination.address.family == IpAddress::Family::v4;
    return {ObjectKind::route, (is_v4 ? "" : ":") + destination.str()};
}

Entry& add_inner_route(Nic& nic, const std::string& destination, const std::optional<std::string>& via) {
    return nic.add({ObjectKind::route, nic.container.name.text + ":" + destination}, Route{.via = via, .dev = nic.interface},
                   {{nic.id, Bond::rebuild}});
}

void let_forward(Nic& nic, IpAddress::Family family, const std::string& host_link) {
    // IPv6 is forwarded by all links or by none; each says by itself whether it answers as a router.
    if (family == IpAddress::Family::v6) nic.switch_on("net.ipv6.conf.all.forwarding", {});
    nic.switch_on(interface_sysctl(family_name(family), host_link, "forwarding"),
                  {{{ObjectKind::link, host_link}, Bond::reapply}});
}

void announce_addresses(Nic& nic, const std::string& parent, const std::string& host_link) {
    const ObjectId way{ObjectKind::link, host_link};
    // The loopback has always been there.
    const std::vector<Need> ground = host_link == "lo" ? std::vector<Need>{} : std::vector<Need>{{way, Bond::rebuild}};
    for (const Cidr& cidr : *nic.link.addresses) {
        const IpAddress& address = cidr.address;
        const ObjectId route = host_route({address, address.bits()});
        nic.add(route, Route{.via = std::nullopt, .dev = host_link}, ground);
        nic.ground.push_back(route);
        if (parent.empty()) continue;
        const ObjectId link{ObjectKind::link, parent};
        let_forward(nic, address.family, parent);
        const bool is_v4 = address.family == IpAddress::Family::v4;
        if (!is_v4) nic.switch_on(interface_sysctl("ipv6", parent, "proxy_ndp"), {{link, Bond::reapply}});
        const ObjectId neighbour{ObjectKind::neighbour, (is_v4 ? "" : ":") + address.str()};
        nic.add(neighbour, Neighbour{.dev = parent}, {{link, Bond::rebuild}, {route, Bond::order}});
        nic.ground.push_back(neighbour);
    }
}

namespace {

/// The NIC's own address of the family that the host reaches by the link.
std::optional<IpAddress> reached_at(const Nic& nic, IpAddress::Family family, const ObjectId& host_link) {
    std::set<Cidr> own = nic.reserved;
    own.insert(nic.link.addresses->begin(), nic.link.addresses->end());
    const auto subnets = nic.lowering.network_addresses.find(host_link.name);
    for (const Cidr& cidr : own) {
        if (cidr.address.family != family) continue;
        if (nic.lowering.desired.contains(host_route({cidr.address, cidr.address.bits()}))) return cidr.address;
        if (subnets == nic.lowering.network_addresses.end()) continue;
        for (const Cidr& subnet : subnets->second)
            if (subnet.contains(cidr.address)) return cidr.address;
    }
    return std::nullopt;
}

}  // namespace

void lower_nic_routes(Nic& nic, const ObjectId& host_link) {
    for (const auto family : {IpAddress::Family::v4, IpAddress::Family::v6}) {
        const Value* value = nic.key(fmt::format("{}.routes", family_name(family)));
        if (value == nullptr) continue;
        const auto via = reached_at(nic, family, host_link);
        for (const auto text : parse_list(value->text)) {
            const auto destination = Cidr::parse(text);
            if (!destination) continue;
            Route route{.via = std::nullopt, .dev = host_link.name};
            std::vector<Need> needs{{host_link, Bond::rebuild}};
            if (via) route.via = via->str();
            if (const ObjectId way = via ? host_route({*via, via->bits()}) : ObjectId{};
                via && nic.lowering.desired.contains(way))
                needs.push_back({way, Bond::rebuild});
            Entry& entry = nic.add(host_route(destination->network()), route, std::move(needs));
            entry.places["dev"] = value->where;
        }
    }
}

}  // namespace ctl::model
