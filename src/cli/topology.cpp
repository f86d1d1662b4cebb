#include "cli/topology.h"

#include <algorithm>
#include <map>
#include <optional>

#include <fmt/format.h>

#include "base/text.h"

namespace ctl::cli {

namespace {

using model::Cidr;
using model::find_object;
using model::HostState;
using model::Link;
using model::LinkType;
using model::ObjectId;
using model::ObjectKind;
using model::OvsPort;
using model::ScopedName;

using Kind = Topology::Kind;

bool is_tunnel(const OvsPort& port) { return port.type == "vxlan" || port.type == "gre"; }

std::string option(const OvsPort& port, const std::string& name) {
    if (!port.options) return {};
    const auto it = port.options->find(name);
    return it != port.options->end() ? it->second : std::string();
}

class Builder {
public:
    explicit Builder(const HostState& state) : state_(state) {}

    Topology build() {
        add_links();
        add_bridges_and_ports();
        add_containers();
        hang_links();
        hang_ports();
        hang_nics();
        return ordered();
    }

private:
    /// The box of a host link, made when it is first needed.
    std::size_t box(const std::string& name) { return box(links_, Kind::interface, name); }

    std::size_t box(std::map<std::string, std::size_t>& known, Kind kind, const std::string& name) {
        const auto [it, is_new] = known.emplace(name, result_.nodes.size());
        if (is_new) {
            result_.nodes.push_back({kind, name, ""});
            details_.emplace_back();
        }
        return it->second;
    }

    void describe(std::size_t node, std::optional<Kind> kind, std::vector<std::string> details) {
        if (kind) result_.nodes[node].kind = *kind;
        std::move(details.begin(), details.end(), std::back_inserter(details_[node]));
    }

    /// The host's end of a pair whose other end is in a container is a line, not a box.
    static bool is_line(const Link& link) {
        return link.type == LinkType::veth && link.peer && !ScopedName::parse(*link.peer).netns.empty() && link.master != "";
    }

    void add_links() {
        for (const auto& [id, entry] : state_) {
            if (id.kind != ObjectKind::link) continue;
            const auto name = ScopedName::parse(id.name);
            const auto& link = std::get<Link>(entry.object);
            if (!name.netns.empty() || name.name == "lo" || (is_line(link) && link.master)) continue;
            if (link.type == LinkType::veth && is_port(id.name)) continue;
            add_link(id.name, link);
        }
    }

    [[nodiscard]] bool is_port(const std::string& link) const {
        const auto* port = find_object<OvsPort>(state_, link);
        return port != nullptr && port->bridge;
    }

    void add_link(const std::string& name, const Link& link) {
        std::optional<Kind> kind;
        std::vector<std::string> details;
        if (link.type) details.emplace_back(model::to_string(*link.type));
        if (link.type == LinkType::bridge || link.type == LinkType::macvlan) kind = Kind::network;
        if (link.type == LinkType::vxlan || link.type == LinkType::gretap) kind = Kind::tunnel;
        if (link.mode) details.back() += " " + *link.mode;
        if (link.vni) details.push_back(fmt::format("id {}", *link.vni));
        if (link.remote) details.push_back("to " + *link.remote);
        auto addresses = texts_of(link.addresses.value_or(std::set<Cidr>()));
        std::move(addresses.begin(), addresses.end(), std::back_inserter(details));
        describe(box(name), kind, std::move(details));
    }

    void add_bridges_and_ports() {
        for (const auto& [id, entry] : state_) {
            if (id.kind == ObjectKind::ovs_bridge) {
                auto& details = details_[box(id.name)];
                details.insert(details.begin(), "Open vSwitch bridge");
                describe(box(id.name), Kind::network, {});
            } else if (id.kind == ObjectKind::ovs_port) {
                const auto& port = std::get<OvsPort>(entry.object);
                if (port.fake_bridge.value_or(false)) {
                    describe(box(id.name), Kind::network, {"Open vSwitch fake bridge"});
                } else if (is_tunnel(port)) {
                    describe(box(id.name), Kind::tunnel, {*port.type, "to " + option(port, "remote_ip")});
                }
            } else if (id.kind == ObjectKind::dns_service) {
                describe(box(id.name), std::nullopt, {"DHCP and DNS"});
            }
        }
    }

    void add_containers() {
        for (const auto& [id, entry] : state_) {
            if (id.kind != ObjectKind::container) continue;
            const auto& container = std::get<model::Container>(entry.object);
            std::vector<std::string> details;
            if (container.state) details.emplace_back(model::to_string(*container.state));
            describe(box(containers_, Kind::container, id.name), std::nullopt, std::move(details));
        }
    }

    void hang(std::size_t from, std::size_t to, std::vector<std::string> labels) {
        std::erase(labels, std::string());
        result_.lines.push_back({from, to, joined(labels, ", ")});
    }

    void hang_links() {
        for (const auto& [id, entry] : state_) {
            if (id.kind != ObjectKind::link || !links_.contains(id.name)) continue;
            const auto& link = std::get<Link>(entry.object);
            if (link.master && !link.master->empty()) hang(box(id.name), box(*link.master), {});
            if (link.parent) hang(box(id.name), box(*link.parent), {});
        }
    }

    static std::string vlans(const OvsPort& port) {
        std::vector<std::string> texts;
        if (port.tag) texts.push_back(fmt::format("vlan {}", *port.tag));
        if (port.trunks && !port.trunks->empty()) texts.push_back("vlans " + joined(*port.trunks, " "));
        return joined(texts, ", ");
    }

    void hang_ports() {
        for (const auto& [id, entry] : state_) {
            if (id.kind != ObjectKind::ovs_port) continue;
            const auto& port = std::get<OvsPort>(entry.object);
            if (!port.bridge || id.name == *port.bridge || leads_into_container(id.name)) continue;
            hang(box(id.name), box(*port.bridge), {vlans(port)});
        }
    }

    [[nodiscard]] bool leads_into_container(const std::string& name) const {
        const auto* link = find_object<Link>(state_, name);
        return link != nullptr && link->type == LinkType::veth && link->peer &&
               !ScopedName::parse(*link->peer).netns.empty();
    }

    void hang_nics() {
        for (const auto& [id, entry] : state_) {
            if (id.kind != ObjectKind::link) continue;
            const auto name = ScopedName::parse(id.name);
            const auto container = containers_.find(name.netns);
            if (name.netns.empty() || name.name == "lo" || container == containers_.end()) continue;
            hang_nic(container->second, name.name, std::get<Link>(entry.object));
        }
    }

    void hang_nic(std::size_t container, const std::string& nic, const Link& link) {
        const std::string addresses = joined(texts_of(link.addresses.value_or(std::set<Cidr>())), ", ");
        if (link.parent) return hang(container, box(*link.parent), {nic, addresses});
        if (!link.peer) return;
        if (const auto* port = find_object<OvsPort>(state_, *link.peer); port != nullptr && port->bridge)
            return hang(container, box(*port->bridge), {nic + " by " + *link.peer, vlans(*port), addresses});
        const auto* host_end = find_object<Link>(state_, *link.peer);
        if (host_end != nullptr && host_end->master && !host_end->master->empty())
            return hang(container, box(*host_end->master), {nic + " by " + *link.peer, addresses});
        hang(container, box(*link.peer), {nic, addresses});
    }

    /// Boxes by kind of side and name, lines by where they lead.
    Topology ordered() {
        std::vector<std::size_t> order;
        for (const auto& [name, node] : links_) order.push_back(node);
        for (const auto& [name, node] : containers_) order.push_back(node);
        std::vector<std::size_t> place(order.size());
        Topology topology;
        for (std::size_t i = 0; i < order.size(); ++i) {
            place[order[i]] = i;
            topology.nodes.push_back(result_.nodes[order[i]]);
            topology.nodes.back().details = joined(details_[order[i]], ", ");
        }
        for (const auto& line : result_.lines) topology.lines.push_back({place[line.from], place[line.to], line.label});
        std::stable_sort(topology.lines.begin(), topology.lines.end(),
                         [](const auto& a, const auto& b) { return std::pair(a.to, a.from) < std::pair(b.to, b.from); });
        return topology;
    }

    const HostState& state_;
    Topology result_;
    std::vector<std::vector<std::string>> details_;  // of each node
    std::map<std::string, std::size_t> links_;
    std::map<std::string, std::size_t> containers_;
};

}  // namespace

std::string_view to_string(Topology::Kind kind) {
    switch (kind) {
        case Kind::interface: return "interface";
        case Kind::network: return "network";
        case Kind::tunnel: return "tunnel";
        case Kind::container: return "container";
    }
    return {};
}

Topology topology_of(const HostState& state) { return Builder(state).build(); }

}  // namespace ctl::cli
