#include <algorithm>

#include <fmt/format.h>

#include "model/lower_nic.h"
#include "model/open_vswitch.h"
#include "model/value_types.h"

namespace ctl::model {

namespace {

std::string host_name(Nic& nic) {
    if (const Value* name = nic.key("host_name")) {
        nic.places["peer"] = name->where;
        return name->text;
    }
    return nic.lowering.allocator.interface_name(fmt::format("veth/{}/{}", nic.container.name.text, nic.device_name));
}

/// The host says nothing of itself on it.
Link silent_port() {
    Link link;
    link.ipv6 = false;
    return link;
}

/// The kernel counts in bytes: a limit has to be so many bits as it can tell.
std::optional<std::int64_t> limit(const Nic& nic, std::string_view key, Entry& entry, const std::string& field) {
    const Value* value = nic.key("limits.max");
    if (value == nullptr) value = nic.key(key);
    const auto rate = value != nullptr ? parse_rate(value->text) : std::nullopt;
    if (!rate || *rate == 0) return std::nullopt;
    entry.places[field] = value->where;
    return std::max<std::int64_t>(*rate / 8, 1) * 8;
}

}  // namespace

Entry& lower_host_end(Nic& nic, Link host_link, std::vector<Need> needs) {
    nic.link.type = LinkType::veth;
    nic.link.peer = host_name(nic);
    host_link.type = LinkType::veth;
    host_link.peer = nic.id.name;
    host_link.up = true;
    host_link.mtu = nic.link.mtu;
    nic.host_end = ObjectId{ObjectKind::link, *nic.link.peer};
    needs.push_back({nic.id, Bond::rebuild});
    Entry& entry = nic.add(*nic.host_end, host_link, std::move(needs));
    // What the host sends by its end comes into the container.
    auto& made = std::get<Link>(entry.object);
    made.send_limit = limit(nic, "limits.ingress", entry, "send_limit");
    made.receive_limit = limit(nic, "limits.egress", entry, "receive_limit");
    return entry;
}

void lower_p2p_nic(Nic& nic) {
    lower_host_end(nic, silent_port(), {});
    lower_nic_routes(nic, *nic.host_end);
}

void lower_bridged_nic(Nic& nic) {
    const std::string bridge = nic.parent();
    if (nic.network() != nullptr && is_ovs_network(*nic.network())) {
        lower_host_end(nic, silent_port(), {});
        const ObjectId port = lower_ovs_nic(nic.lowering, *nic.network(), nic.device, *nic.host_end, nic.owner);
        Entry& entry = nic.lowering.desired.at(port);
        entry.lifecycle.prune = nic.container.lifecycle.prune;
        // A switch in user space takes packets as they are, with checksums that nobody has filled in.
        if (ovs_datapath(nic.lowering, *std::get<OvsPort>(entry.object).bridge) == "netdev") nic.link.tx_checksum = false;
        nic.ground.push_back(port);
    } else {
        Link host_link = silent_port();
        host_link.master = bridge;
        if (bool_value(nic.device.keys, "security.port_isolation", false)) host_link.isolated = true;
        Entry& entry = lower_host_end(nic, host_link, {{{ObjectKind::link, bridge}, Bond::reapply}});
        if (const Value* value = nic.key("parent")) entry.places["master"] = value->where;
        if (const Value* value = nic.key("security.port_isolation")) entry.places["isolated"] = value->where;
    }
    lower_nic_routes(nic, {ObjectKind::link, bridge});
}

void lower_routed_nic(Nic& nic) {
    const std::set<Cidr> addresses = *nic.link.addresses;
    Link host_link;
    host_link.ipv6 = has_family(addresses, IpAddress::Family::v6);
    host_link.addresses.emplace();
    struct Side {
        IpAddress::Family family;
        const char* gateway;
        const char* everywhere;
    };
    for (const auto& [family, gateway, everywhere] :
         {Side{IpAddress::Family::v4, "169.254.0.1", "0.0.0.0/0"}, Side{IpAddress::Family::v6, "fe80::1", "::/0"}}) {
        if (!has_family(addresses, family)) continue;
        const Value* said = nic.key(fmt::format("{}.host_address", family_name(family)));
        const auto own = IpAddress::parse(said != nullptr ? said->text : gateway);
        if (!own) continue;
        host_link.addresses->insert(Cidr{*own, own->bits()});
        const Value* way = nic.key(fmt::format("{}.gateway", family_name(family)));
        if (way != nullptr && way->text == "none") continue;
        // The gateway is in no subnet of the container's.
        const std::string neighbour = Cidr{*own, own->bits()}.str();
        add_inner_route(nic, neighbour, std::nullopt);
        add_inner_route(nic, everywhere, own->str())
            .needs.push_back({{ObjectKind::route, nic.container.name.text + ":" + neighbour}, Bond::rebuild});
    }
    lower_host_end(nic, host_link, {});
    for (const auto family : {IpAddress::Family::v4, IpAddress::Family::v6})
        if (has_family(addresses, family)) let_forward(nic, family, nic.host_end->name);
    // What comes from the container with an address that is not routed to it is not let through.
    if (has_family(addresses, IpAddress::Family::v4))
        nic.switch_on(interface_sysctl("ipv4", nic.host_end->name, "rp_filter"), {{*nic.host_end, Bond::reapply}});
    const std::string parent = nic.parent();
    announce_addresses(nic, parent.empty() ? parent : lower_ground(nic, parent), nic.host_end->name);
    lower_nic_routes(nic, *nic.host_end);
}

}  // namespace ctl::model
