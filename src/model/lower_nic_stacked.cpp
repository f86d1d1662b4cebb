#include <fmt/format.h>

#include "model/lower_nic.h"

// NICs that stand on a link of the host, or are one.

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
        link = next->text;
    }
    return link;
}

void note_isolation(const Nic& nic, const std::string& lower_link) {
    for (const auto& [name, network] : nic.lowering.networks) {
        const Value* network_parent = find_value(network->config, "parent");
        if (network->type.text == "macvlan" && network_parent != nullptr && network_parent->text == lower_link) return;
    }
    nic.lowering.diagnostics.note(
        "macvlan-isolation",
        fmt::format("the host itself can't reach {} on {}: macvlan keeps a parent and its children apart",
                    nic.container.name.text, lower_link),
        nic.device.where, fmt::format("declare a network of type macvlan on {} to give the host a way in", lower_link));
}

}  // namespace

void lower_macvlan_nic(Nic& nic) {
    nic.link.type = LinkType::macvlan;
    nic.link.mode = macvlan_mode(nic);
    nic.link.parent = macvlan_parent(nic);
    if (const Value* value = nic.key("parent")) nic.places["parent"] = value->where;
    nic.needs.push_back({{ObjectKind::link, *nic.link.parent}, Bond::rebuild});
    // Its own link may be a macvlan too; the kernel hangs both on the same parent, but only while it exists do we want it.
    nic.needs.push_back({{ObjectKind::link, nic.parent()}, Bond::order});
    note_isolation(nic, *nic.link.parent);
}

void lower_physical_nic(Nic& nic) {
    nic.link.hardware = nic.parent();
    if (const Value* value = nic.key("parent")) nic.places["hardware"] = value->where;
}

}  // namespace ctl::model
