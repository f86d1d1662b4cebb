#include "cli/container_report.h"

#include <fmt/format.h>
#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include "base/text.h"
#include "model/state_json.h"

namespace ctl::cli {

namespace {

using model::find_object;
using model::HostState;
using model::Link;
using model::ObjectId;
using model::ObjectKind;

ContainerReport::Interface interface_of(const HostState& observed, const ObjectId& id, const Link& link) {
    ContainerReport::Interface interface;
    interface.name = model::ScopedName::parse(id.name).name;
    interface.type = link.type ? model::to_string(*link.type) : "foreign";
    interface.up = link.up.value_or(false);
    interface.host_side = link.peer ? *link.peer : link.parent.value_or("");
    if (link.peer) {
        if (const auto* host_end = find_object<Link>(observed, *link.peer))
            interface.network = host_end->master.value_or("");
        if (const auto* port = find_object<model::OvsPort>(observed, *link.peer))
            interface.network = port->bridge.value_or("");
    }
    interface.mac = link.mac.value_or("");
    interface.mtu = link.mtu ? std::to_string(*link.mtu) : "";
    interface.addresses = texts_of(link.addresses.value_or(std::set<model::Cidr>()));
    interface.link = id;
    return interface;
}

/// "stopped, by ctl stop"
std::string state_text(const ContainerReport& report) {
    const std::string state = report.item.fact("state");
    if (!report.held) return state;
    return fmt::format("{}, by ctl {}", state, state == "running" ? "start" : state == "frozen" ? "freeze" : "stop");
}

std::string seconds_text(std::optional<std::int64_t> nanoseconds) {
    return nanoseconds ? fmt::format("{:.2f} s", static_cast<double>(*nanoseconds) / 1e9) : "";
}

std::string size_text(std::optional<std::int64_t> bytes) { return bytes ? bytes_text(*bytes) : ""; }

std::string count_text(std::optional<std::int64_t> count) { return count ? std::to_string(*count) : ""; }

using Writer = rapidjson::Writer<rapidjson::StringBuffer>;

void write(Writer& out, const char* key, const std::string& text) {
    out.Key(key);
    out.String(text);
}

void write_facts(Writer& out, const char* key, const drivers::Facts* facts) {
    if (facts == nullptr) return;
    out.Key(key);
    out.StartObject();
    for (const auto& [name, value] : *facts) {
        out.Key(name.data(), static_cast<rapidjson::SizeType>(name.size()));
        const std::string json = model::field_value_to_json(value);
        out.RawValue(json.data(), json.size(), rapidjson::kNumberType);
    }
    out.EndObject();
}

void write_interface(Writer& out, const ContainerReport::Interface& interface, const FactsByObject& facts) {
    out.StartObject();
    write(out, "name", interface.name);
    write(out, "type", interface.type);
    out.Key("up");
    out.Bool(interface.up);
    write(out, "host_side", interface.host_side);
    write(out, "network", interface.network);
    write(out, "mac", interface.mac);
    write(out, "mtu", interface.mtu);
    out.Key("addresses");
    out.StartArray();
    for (const auto& address : interface.addresses) out.String(address);
    out.EndArray();
    write_facts(out, "counters", facts_of(facts, interface.link));
    out.EndObject();
}

}  // namespace

std::optional<ContainerReport> report_container(const HostState& observed, const std::string& name) {
    ContainerReport report;
    for (auto& item : list_items("Container", observed))
        if (item.name == name) report.item = std::move(item);
    if (report.item.name.empty()) return std::nullopt;
    report.held = observed.at({ObjectKind::container, name}).held;
    for (const auto& [id, entry] : observed) {
        if (id.kind != ObjectKind::link) continue;
        const auto scoped = model::ScopedName::parse(id.name);
        if (scoped.netns == name && scoped.name != "lo")
            report.interfaces.push_back(interface_of(observed, id, std::get<Link>(entry.object)));
    }
    return report;
}

std::set<ObjectId> interesting(const ContainerReport& report) {
    std::set<ObjectId> ids{{ObjectKind::container, report.item.name}};
    for (const auto& interface : report.interfaces) ids.insert(interface.link);
    return ids;
}

std::string to_text(const ContainerReport& report, const FactsByObject& facts) {
    std::string text;
    const auto line = [&](std::string_view label, const std::string& value) {
        if (!value.empty()) text += fmt::format("{:<14} {}\n", label, value);
    };
    const auto* usage = facts_of(facts, {ObjectKind::container, report.item.name});
    line("Name", escaped(report.item.name));
    line("Stack", escaped(report.item.stack));
    line("State", state_text(report));
    line("Profiles", escaped(report.profiles));
    line("PID", count_text(number_of(usage, "pid")));
    line("Processes", count_text(number_of(usage, "processes")));
    line("CPU", seconds_text(number_of(usage, "cpu_ns")));
    line("Memory", size_text(number_of(usage, "memory")));
    line("Memory peak", size_text(number_of(usage, "memory_peak")));
    for (const auto& [label, fact] :
         {std::pair{"Image", "image"}, std::pair{"Volume", "volume"}, std::pair{"Root", "rootfs"}, std::pair{"Ids", "idmap"},
          std::pair{"Memory limit", "memory_limit"}, std::pair{"Process limit", "process_limit"},
          std::pair{"CPUs", "cpu_set"}, std::pair{"Autostart", "autostart"}, std::pair{"Environment", "environment"},
          std::pair{"Mounts", "mounts"}, std::pair{"Raw", "raw"}})
        line(label, report.item.fact(fact));

    text += "Interfaces\n";
    for (const auto& interface : report.interfaces) {
        text += fmt::format("  {} ({}{})\n", escaped(interface.name), interface.type, interface.up ? ", up" : ", down");
        const auto detail = [&](std::string_view label, const std::string& value) {
            if (!value.empty()) text += fmt::format("    {:<10} {}\n", label, escaped(value));
        };
        detail("host side", interface.host_side);
        detail("port of", interface.network);
        detail("mac", interface.mac);
        detail("mtu", interface.mtu);
        detail("addresses", joined(interface.addresses, ", "));
        detail("received", traffic(facts_of(facts, interface.link), "rx"));
        detail("sent", traffic(facts_of(facts, interface.link), "tx"));
    }
    return text;
}

std::string to_json(const ContainerReport& report, const FactsByObject& facts) {
    rapidjson::StringBuffer buffer;
    Writer out(buffer);
    out.StartObject();
    write(out, "format", "ctl.container/1");
    write(out, "name", report.item.name);
    write(out, "stack", report.item.stack);
    write(out, "profiles", report.profiles);
    out.Key("held");
    out.Bool(report.held);
    for (const auto& [key, value] : report.item.facts) {
        out.Key(key.data(), static_cast<rapidjson::SizeType>(key.size()));
        const std::string json = model::field_value_to_json(value);
        out.RawValue(json.data(), json.size(), rapidjson::kStringType);
    }
    write_facts(out, "usage", facts_of(facts, {ObjectKind::container, report.item.name}));
    out.Key("interfaces");
    out.StartArray();
    for (const auto& interface : report.interfaces) write_interface(out, interface, facts);
    out.EndArray();
    out.EndObject();
    return {buffer.GetString(), buffer.GetSize()};
}

}  // namespace ctl::cli
