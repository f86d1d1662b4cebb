#include "cli/network_report.h"

#include <algorithm>

#include <fmt/format.h>
#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include "base/text.h"
#include "cli/counters.h"
#include "cli/table.h"
#include "model/state_json.h"

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

std::string vlan_of(const OvsPort& port) {
    std::vector<std::string> parts;
    if (port.tag) parts.push_back(std::to_string(*port.tag));
    if (port.trunks && !port.trunks->empty()) parts.push_back(joined(*port.trunks, " ") + " tagged");
    return joined(parts, ", ");
}

/// The port with its far end, if that is in a container.
NetworkReport::Port port_from(const HostState& observed, const std::string& name) {
    NetworkReport::Port port{name, "", "", "", "", {}, {ObjectKind::link, name}};
    const Link* link = find_object<Link>(observed, name);
    const Link* nic = link;
    if (link != nullptr && link->peer) {
        const auto peer = ScopedName::parse(*link->peer);
        if (!peer.netns.empty()) {
            port.container = peer.netns;
            port.nic = peer.name;
            nic = find_object<Link>(observed, *link->peer);
        }
    }
    if (nic != nullptr) {
        port.mac = nic->mac.value_or("");
        port.addresses = texts_of(nic->addresses.value_or(std::set<Cidr>()));
    }
    if (const auto* ovs = find_object<OvsPort>(observed, name)) port.vlan = vlan_of(*ovs);
    return port;
}

/// Whether the OVS port belongs to the network: a port of the bridge itself, or of a fake bridge by its VLAN.
bool is_on(const HostState& observed, const OvsPort& port, const std::string& network) {
    const auto* fake = find_object<OvsPort>(observed, network);
    if (fake != nullptr) return port.bridge == fake->bridge && port.tag == fake->tag;
    return port.bridge == network;
}

std::vector<NetworkReport::Port> ports_of(const HostState& observed, const std::string& network) {
    std::vector<NetworkReport::Port> ports;
    for (const auto& [id, entry] : observed) {
        if (id.name == network) continue;
        if (const auto* port = std::get_if<OvsPort>(&entry.object)) {
            if (is_on(observed, *port, network)) ports.push_back(port_from(observed, id.name));
            continue;
        }
        const auto* link = std::get_if<Link>(&entry.object);
        if (link == nullptr) continue;
        const auto name = ScopedName::parse(id.name);
        if (name.netns.empty() && link->master == network) {
            ports.push_back(port_from(observed, id.name));
        } else if (link->type == LinkType::macvlan && link->parent == network) {
            const bool inside = !name.netns.empty();
            ports.push_back({inside ? "" : name.name, name.netns, inside ? name.name : "", link->mac.value_or(""), "",
                             texts_of(link->addresses.value_or(std::set<Cidr>())), id});
        }
    }
    std::sort(ports.begin(), ports.end(), [](const auto& a, const auto& b) {
        return std::tie(a.name, a.container, a.nic) < std::tie(b.name, b.container, b.nic);
    });
    return ports;
}

/// Ours go with their container; whose these were, who made them knows. The switch itself may not have noticed.
std::vector<std::string> stale_ports(const HostState& observed, const std::string& network) {
    std::vector<std::string> names;
    for (const auto& [id, entry] : observed) {
        const auto* port = std::get_if<OvsPort>(&entry.object);
        if (port == nullptr || entry.mark != model::Mark::none || port->type != "system") continue;
        if (find_object<Link>(observed, id.name) == nullptr && is_on(observed, *port, network)) names.push_back(id.name);
    }
    return names;
}

std::vector<std::string> leases_of(const NetworkReport& report, const FactsByObject& facts) {
    const auto* told = report.leased_by ? facts_of(facts, *report.leased_by) : nullptr;
    const auto leases = told != nullptr ? told->find("leases") : drivers::Facts::const_iterator();
    if (told == nullptr || leases == told->end()) return {};
    const auto* lines = std::get_if<std::vector<std::string>>(&leases->second);
    return lines != nullptr ? *lines : std::vector<std::string>();
}

std::string dash(std::string text) { return text.empty() ? "-" : escaped(text); }

}  // namespace

std::optional<NetworkReport> report_network(const HostState& observed, const std::string& name) {
    NetworkReport report;
    report.name = name;
    for (const auto kind : {ObjectKind::link, ObjectKind::ovs_bridge, ObjectKind::ovs_port}) {
        const auto it = observed.find({kind, name});
        if (it == observed.end()) continue;
        const auto& entry = it->second;
        if (entry.mark != model::Mark::none && entry.owner.kind == "Network") report.stack = entry.owner.stack;
        if (const auto* link = std::get_if<Link>(&entry.object)) {
            report.link = *link;
            if (link->type) report.type = model::to_string(*link->type);
        } else if (kind == ObjectKind::ovs_bridge) {
            report.type = "Open vSwitch bridge";
        } else {
            const auto& port = std::get<OvsPort>(entry.object);
            report.type = fmt::format("fake bridge of {}, VLAN {}", port.bridge.value_or("?"), port.tag.value_or(0));
        }
    }
    if (report.stack.empty()) return std::nullopt;
    report.ports = ports_of(observed, name);
    report.stale = stale_ports(observed, name);
    for (const auto& [id, entry] : observed) {
        const bool belongs =
            entry.mark != model::Mark::none && entry.owner == model::ResourceRef{report.stack, "Network", name};
        if (!belongs) continue;
        if (id.kind == ObjectKind::nft_table) report.tables.push_back(id.name);
        if (const auto* flows = std::get_if<model::OvsFlows>(&entry.object); flows != nullptr && flows->flows)
            report.flows = flows->flows->size();
        if (const auto* service = std::get_if<model::DnsService>(&entry.object)) {
            report.services.push_back(service->running.value_or(false) ? "dnsmasq, running" : "dnsmasq, not running");
            report.leased_by = id;
        }
    }
    return report;
}

std::set<ObjectId> interesting(const NetworkReport& report) {
    std::set<ObjectId> ids{{ObjectKind::link, report.name}};
    for (const auto& port : report.ports) ids.insert(port.link);
    if (report.leased_by) ids.insert(*report.leased_by);
    return ids;
}

std::string to_text(const NetworkReport& report, const FactsByObject& facts) {
    std::string text;
    const auto line = [&](std::string_view label, const std::string& value) {
        if (!value.empty()) text += fmt::format("{:<12} {}\n", label, escaped(value));
    };
    line("Name", report.name);
    line("Stack", report.stack);
    line("Type", report.type);
    line("State", report.link.up.value_or(false) ? "up" : "down");
    line("Parent", report.link.parent.value_or(""));
    line("Addresses", joined(texts_of(report.link.addresses.value_or(std::set<Cidr>())), ", "));
    line("MAC", report.link.mac.value_or(""));
    line("MTU", report.link.mtu ? std::to_string(*report.link.mtu) : "");
    line("DHCP, DNS", report.services.empty() ? "none" : joined(report.services, ", "));
    line("Firewall", report.tables.empty() ? "none" : "nftables " + joined(report.tables, ", "));
    line("Stale ports", joined(report.stale, ", "));
    if (report.flows > 0) line("Flows", std::to_string(report.flows));
    const auto* own = facts_of(facts, {ObjectKind::link, report.name});
    line("Received", traffic(own, "rx"));
    line("Sent", traffic(own, "tx"));

    text += fmt::format("\nAttached: {}\n", report.ports.size());
    Table ports({"PORT", "CONTAINER", "NIC", "MAC", "VLAN", "ADDRESSES", "FROM IT", "TO IT"});
    for (const auto& port : report.ports) {
        const auto* counters = facts_of(facts, port.link);
        // A host's end receives what the container sends; a macvlan's counters are the container's own.
        const bool seen_from_inside = port.name.empty();
        ports.add({dash(port.name), dash(port.container), dash(port.nic), dash(port.mac), dash(port.vlan),
                   dash(joined(port.addresses, ", ")), traffic(counters, seen_from_inside ? "tx" : "rx"),
                   traffic(counters, seen_from_inside ? "rx" : "tx")});
    }
    if (!report.ports.empty()) text += ports.str();

    const auto leases = leases_of(report, facts);
    if (report.leased_by) text += fmt::format("\nLeases: {}\n", leases.size());
    for (const auto& lease : leases) text += escaped(lease) + "\n";
    return text;
}

std::string to_json(const NetworkReport& report, const FactsByObject& facts) {
    rapidjson::StringBuffer buffer;
    rapidjson::Writer<rapidjson::StringBuffer> out(buffer);
    const auto text = [&](const char* key, const std::string& value) {
        out.Key(key);
        out.String(value);
    };
    const auto texts = [&](const char* key, const std::vector<std::string>& values) {
        out.Key(key);
        out.StartArray();
        for (const auto& value : values) out.String(value);
        out.EndArray();
    };
    const auto counters = [&](const ObjectId& id) {
        const auto* told = facts_of(facts, id);
        if (told == nullptr) return;
        out.Key("counters");
        out.StartObject();
        for (const auto& [name, value] : *told) {
            out.Key(name.data(), static_cast<rapidjson::SizeType>(name.size()));
            const std::string json = model::field_value_to_json(value);
            out.RawValue(json.data(), json.size(), rapidjson::kNumberType);
        }
        out.EndObject();
    };
    out.StartObject();
    text("format", "ctl.network/1");
    text("name", report.name);
    text("stack", report.stack);
    text("type", report.type);
    out.Key("up");
    out.Bool(report.link.up.value_or(false));
    texts("addresses", texts_of(report.link.addresses.value_or(std::set<Cidr>())));
    text("mac", report.link.mac.value_or(""));
    if (report.link.mtu) {
        out.Key("mtu");
        out.Int64(*report.link.mtu);
    }
    texts("services", report.services);
    texts("tables", report.tables);
    texts("stale_ports", report.stale);
    out.Key("flows");
    out.Uint64(report.flows);
    counters({ObjectKind::link, report.name});
    out.Key("attached");
    out.StartArray();
    for (const auto& port : report.ports) {
        out.StartObject();
        text("port", port.name);
        text("container", port.container);
        text("nic", port.nic);
        text("mac", port.mac);
        text("vlan", port.vlan);
        texts("addresses", port.addresses);
        counters(port.link);
        out.EndObject();
    }
    out.EndArray();
    texts("leases", leases_of(report, facts));
    out.EndObject();
    return {buffer.GetString(), buffer.GetSize()};
}

}  // namespace ctl::cli
