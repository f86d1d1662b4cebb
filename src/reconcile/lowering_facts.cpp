#include "reconcile/lowering_facts.h"

#include <algorithm>
#include <array>

namespace ctl::reconcile {

namespace {

using model::Cidr;
using model::HostState;
using model::IpAddress;
using model::ObjectKind;

constexpr std::string_view prefix4 = "subnet4/";
constexpr std::string_view prefix6 = "subnet6/";
constexpr std::string_view datapath_prefix = "datapath/";

/// Whether the link belongs to a network of the stack: by its own mark, or by that of the Open vSwitch bridge or port whose
/// link it is.
bool is_network_of(const HostState& host, const std::string& stack, const std::string& link) {
    constexpr std::array kinds{ObjectKind::link, ObjectKind::ovs_bridge, ObjectKind::ovs_port};
    return std::any_of(kinds.begin(), kinds.end(), [&](ObjectKind kind) {
        const auto found = host.find({kind, link});
        return found != host.end() && found->second.mark == model::Mark::complete && found->second.owner.stack == stack &&
               found->second.owner.kind == "Network";
    });
}

bool could_be_chosen(const Cidr& cidr) {
    static const Cidr private4 = *Cidr::parse("10.0.0.0/8");
    static const Cidr private6 = *Cidr::parse("fd42::/16");
    return cidr.address.family == IpAddress::Family::v4 ? cidr.prefix == 24 && private4.contains(cidr.address)
                                                        : cidr.prefix == 64 && private6.contains(cidr.address);
}

/// Calls `take` with the name and the addresses of each link in the host's own namespace.
template <typename Take>
void for_each_host_link(const HostState& host, Take take) {
    for (const auto& [id, entry] : host) {
        const auto* link = std::get_if<model::Link>(&entry.object);
        if (link != nullptr && link->addresses && model::ScopedName::parse(id.name).netns.empty())
            take(id.name, *link->addresses);
    }
}

/// The subnets on the host's links and routes, except those of `stack`'s own networks.
std::set<Cidr> subnets_of_others(const HostState& host, const std::string& stack) {
    std::set<Cidr> subnets;
    for_each_host_link(host, [&](const std::string& name, const std::set<Cidr>& addresses) {
        if (!is_network_of(host, stack, name)) subnets.insert(addresses.begin(), addresses.end());
    });
    for (const auto& [id, entry] : host) {
        const auto* route = std::get_if<model::Route>(&entry.object);
        const auto name = model::ScopedName::parse(id.name);
        if (route == nullptr || !name.netns.empty() || is_network_of(host, stack, route->dev.value_or(""))) continue;
        const auto destination = Cidr::parse(name.name);
        // A default route is no claim to any subnet.
        if (destination && destination->prefix != 0) subnets.insert(*destination);
    }
    return subnets;
}

std::set<std::string> default_route_links(const HostState& host) {
    std::set<std::string> links;
    for (const auto& [id, entry] : host) {
        const auto* route = std::get_if<model::Route>(&entry.object);
        const auto name = model::ScopedName::parse(id.name);
        const auto destination = name.netns.empty() ? Cidr::parse(name.name) : std::nullopt;
        if (route != nullptr && route->dev && destination && destination->prefix == 0) links.insert(*route->dev);
    }
    return links;
}

}  // namespace

bool has_new_choice(const model::Allocations& chosen, const model::Allocations& known) {
    constexpr std::array prefixes{prefix4, prefix6, datapath_prefix};
    return std::any_of(chosen.begin(), chosen.end(), [&](const auto& item) {
        const auto starts_it = [&](std::string_view prefix) { return item.first.starts_with(prefix); };
        return !known.contains(item.first) && std::any_of(prefixes.begin(), prefixes.end(), starts_it);
    });
}

model::HostLayout layout_of(model::HostLayout layout, const HostState& host, const std::string& stack) {
    layout.subnets.merge(subnets_of_others(host, stack));
    const auto uplinks = default_route_links(host);
    for_each_host_link(host, [&](const std::string& name, const std::set<Cidr>& addresses) {
        layout.addresses.insert(addresses.begin(), addresses.end());
        if (uplinks.contains(name)) layout.uplink_addresses.insert(addresses.begin(), addresses.end());
    });
    return layout;
}

void remember_choices(model::Allocations& known, const HostState& host, const std::string& stack) {
    for_each_host_link(host, [&](const std::string& name, const std::set<Cidr>& addresses) {
        if (!is_network_of(host, stack, name)) return;
        for (const auto& cidr : addresses) {
            const bool is_v4 = cidr.address.family == IpAddress::Family::v4;
            if (could_be_chosen(cidr)) known.emplace(std::string(is_v4 ? prefix4 : prefix6) + name, cidr.str());
        }
    });
    for (const auto& [id, entry] : host) {
        const auto* bridge = std::get_if<model::OvsBridge>(&entry.object);
        if (bridge != nullptr && bridge->datapath) known.emplace(std::string(datapath_prefix) + id.name, *bridge->datapath);
    }
}

}  // namespace ctl::reconcile
