#include <fmt/format.h>

#include "model/lower_nic.h"
#include "model/nic_types.h"
#include "model/value_types.h"

// NICs that stand on a link of the host: macvlan, ipvlan, a VLAN of it, or the link itself.

namespace ctl::model {

namespace {

std::string macvlan_mode(const Nic& nic) {
    const Value* mode = nic.network() != nullptr ? find_value(nic.network()->config, "mode") : nullptr;
    return mode != nullptr ? mode->text : "bridge";
}

/// The kernel hangs a macvlan on a macvlan's own parent and shows that one; so we name it at once.
std::string macvlan_parent(const Nic& nic) {
    std::string link = nic.parent();
    const auto& networks = nic.lowering.networks;
    // The bound keeps a cycle, which validation reports, from turning round for ever.
    for (std::size_t hops = 0; hops <= networks.size(); ++hops) {
        const auto it = networks.find(link);
        if (it == networks.end() || it->second->type.text != "macvlan") return link;
        const Value* next = find_value(it->second->config, "parent");
        if (next == nullptr) return link;
        link = vlan_ground(it->second->config, next->text);
    }
    return link;
}

void note_isolation(const Nic& nic, const std::string& lower_link) {
    for (const auto& [name, network] : nic.lowering.networks) {
        const Value* network_parent = find_value(network->config, "parent");
        if (network->type.text == "macvlan" && network_parent != nullptr &&
            vlan_ground(network->config, network_parent->text) == lower_link)
            return;
    }
    nic.lowering.diagnostics.note(
        "macvlan-isolation",
        fmt::format("the host itself can't reach {} on {}: macvlan keeps a parent and its children apart",
                    nic.container.name.text, lower_link),
        nic.device.where, fmt::format("declare a network of type macvlan on {} to give the host a way in", lower_link));
}

void stand_on(Nic& nic, const std::string& parent) {
    nic.link.parent = parent;
    if (const Value* value = nic.key("parent")) nic.places["parent"] = value->where;
    nic.needs.push_back({{ObjectKind::link, parent}, Bond::rebuild});
}

}  // namespace

std::string lower_ground(Nic& nic, const std::string& parent) {
    Entry* entry = lower_vlan(nic.lowering, nic.device.keys, parent, nic.owner, nic.device.where);
    // The host answers for a routed NIC's addresses there.
    if (entry != nullptr && nic.type() == "routed" && nic.link.ipv6 == true) std::get<Link>(entry->object).ipv6 = true;
    return vlan_ground(nic.device.keys, parent);
}

void lower_macvlan_nic(Nic& nic) {
    nic.link.type = LinkType::macvlan;
    nic.link.mode = macvlan_mode(nic);
    const std::string parent = lower_ground(nic, macvlan_parent(nic));
    stand_on(nic, parent);
    // Its own link may be a macvlan too; the kernel hangs both on the same parent, but only while it exists do we want it.
    nic.needs.push_back({{ObjectKind::link, nic.parent()}, Bond::order});
    note_isolation(nic, parent);
}

void lower_ipvlan_nic(Nic& nic) {
    const Value* mode = nic.key("mode");
    nic.link.type = LinkType::ipvlan;
    nic.link.mode = mode != nullptr ? mode->text : "l3s";
    if (mode != nullptr) nic.places["mode"] = mode->where;
    const std::string parent = lower_ground(nic, nic.parent());
    stand_on(nic, parent);
    if (*nic.link.mode == "l2") return;
    for (const auto& [family, everywhere] :
         {std::pair{IpAddress::Family::v4, "0.0.0.0/0"}, std::pair{IpAddress::Family::v6, "::/0"}}) {
        const Value* gateway = nic.key(fmt::format("{}.gateway", family_name(family)));
        const bool is_wanted = gateway == nullptr || gateway->text == "auto";
        if (is_wanted && has_family(*nic.link.addresses, family)) add_inner_route(nic, everywhere, std::nullopt);
    }
    // The ipvlan takes what comes for its addresses before the host sees it; but neighbours have to be told where to send
    // it, and the host answers for an address only if it would pass its packets on by some other link.
    announce_addresses(nic, parent, "lo");
}

void lower_physical_nic(Nic& nic) {
    const std::string parent = nic.parent();
    const Value* vlan = nic.key("vlan");
    const auto number = vlan != nullptr ? parse_uint(vlan->text, 4094) : std::nullopt;
    if (!number) {
        nic.link.hardware = parent;
        if (const Value* value = nic.key("parent")) nic.places["hardware"] = value->where;
        return;
    }
    // Only this VLAN of the NIC is the container's: the link is born there, and the NIC itself stays with the host.
    nic.link.type = LinkType::vlan;
    nic.link.vlan = *number;
    nic.link.gvrp = bool_value(nic.device.keys, "gvrp", false);
    nic.places["vlan"] = vlan->where;
    stand_on(nic, parent);
}

}  // namespace ctl::model
