#include "cli/listing.h"

#include <array>
#include <map>

#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>
#include <yaml-cpp/yaml.h>

#include "model/state_json.h"

namespace ctl::cli {

namespace {

using model::FieldValue;
using model::HostState;
using model::ObjectKind;

void add_fields(Item& item, const model::Object& object) {
    for (const auto& view : model::fields_of(object))
        if (view.value) item.facts.emplace_back(std::string(view.name), *view.value);
}

/// Addresses of the links in the container's namespace, without the loopback's.
std::vector<std::string> addresses_in(const HostState& observed, const std::string& netns, model::IpAddress::Family family) {
    std::vector<std::string> addresses;
    for (const auto& [id, entry] : observed) {
        if (id.kind != ObjectKind::link) continue;
        const auto name = model::ScopedName::parse(id.name);
        if (name.netns != netns || name.name == "lo") continue;
        const auto& link = std::get<model::Link>(entry.object);
        if (!link.addresses) continue;
        for (const auto& cidr : *link.addresses)
            if (cidr.address.family == family) addresses.push_back(cidr.address.str() + " (" + name.name + ")");
    }
    return addresses;
}

Item container_item(const HostState& observed, const model::ObjectId& id, const model::Entry& entry) {
    Item item{"Container", id.name, entry.owner.stack, {}};
    add_fields(item, entry.object);
    item.facts.emplace_back("ipv4", addresses_in(observed, id.name, model::IpAddress::Family::v4));
    item.facts.emplace_back("ipv6", addresses_in(observed, id.name, model::IpAddress::Family::v6));
    for (const auto& [other_id, other] : observed) {
        const bool is_root = other_id.kind == ObjectKind::volume && other.owner.kind == "Container";
        if (!is_root || !other_id.name.ends_with("/" + id.name)) continue;
        item.facts.emplace_back("volume", other_id.name);
        if (const auto& image = std::get<model::Volume>(other.object).image) item.facts.emplace_back("image", *image);
    }
    return item;
}

Item network_item(const HostState& observed, const model::ObjectId& id, const model::Entry& entry) {
    Item item{"Network", id.name, entry.owner.stack, {}};
    add_fields(item, entry.object);
    std::vector<std::string> ports;
    for (const auto& [other_id, other] : observed)
        if (other_id.kind == ObjectKind::link && std::get<model::Link>(other.object).master == id.name)
            ports.push_back(other_id.name);
    item.facts.emplace_back("ports", std::move(ports));
    return item;
}

/// "web@snap0": what it is of is a container or a volume.
Item snapshot_item(const model::ObjectId& id, const model::Entry& entry) {
    Item item{"Snapshot", entry.owner.name + id.name.substr(id.name.rfind('@')), entry.owner.stack, {}};
    add_fields(item, entry.object);
    return item;
}

struct KindSource {
    std::string_view kind;
    ObjectKind object;
};

constexpr std::array sources{KindSource{"Container", ObjectKind::container}, KindSource{"Network", ObjectKind::link},
                             KindSource{"Image", ObjectKind::image},         KindSource{"StoragePool", ObjectKind::pool},
                             KindSource{"Volume", ObjectKind::volume},       KindSource{"Snapshot", ObjectKind::snapshot}};

}  // namespace

std::string Item::fact(std::string_view fact_name) const {
    for (const auto& [key, value] : facts)
        if (key == fact_name) return model::to_text(value);
    return {};
}

std::vector<Item> list_items(std::string_view kind, const HostState& observed) {
    std::vector<Item> items;
    for (const auto& source : sources) {
        if (source.kind != kind) continue;
        for (const auto& [id, entry] : observed) {
            if (id.kind != source.object || entry.mark == model::Mark::none) continue;
            if (kind == "Snapshot") items.push_back(snapshot_item(id, entry));
            if (entry.owner.kind != kind) continue;
            if (kind == "Container") items.push_back(container_item(observed, id, entry));
            else if (kind == "Network") items.push_back(network_item(observed, id, entry));
            else add_fields(items.emplace_back(Item{std::string(kind), id.name, entry.owner.stack, {}}), entry.object);
        }
    }
    return items;
}

std::vector<std::string> columns_of(std::string_view kind, bool wide) {
    const auto with = [&](std::vector<std::string> columns, const std::vector<std::string>& more) {
        if (wide) columns.insert(columns.end(), more.begin(), more.end());
        return columns;
    };
    if (kind == "Container")
        return with({"state", "ipv4", "ipv6", "image"}, {"volume", "idmap", "memory_limit", "autostart"});
    if (kind == "Network") return with({"type", "addresses", "up", "ports"}, {"parent", "mtu", "mac"});
    if (kind == "Image") return with({"type", "fingerprint"}, {"source"});
    if (kind == "Snapshot") return {"made", "expires"};
    if (kind == "Volume") return with({"size", "mounted"}, {"idmap"});
    return with({"driver", "source"}, {"size", "mounted"});
}

std::string items_to_json(const std::vector<Item>& items) {
    rapidjson::StringBuffer buffer;
    rapidjson::Writer<rapidjson::StringBuffer> out(buffer);
    out.StartObject();
    out.Key("format");
    out.String("ctl.list/1");
    out.Key("items");
    out.StartArray();
    for (const auto& item : items) {
        out.StartObject();
        for (const auto& [key, value] :
             {std::pair{std::string_view("kind"), &item.kind}, std::pair{std::string_view("name"), &item.name},
              std::pair{std::string_view("stack"), &item.stack}}) {
            out.Key(key.data(), static_cast<rapidjson::SizeType>(key.size()));
            out.String(*value);
        }
        for (const auto& [key, value] : item.facts) {
            out.Key(key.data(), static_cast<rapidjson::SizeType>(key.size()));
            const std::string json = model::field_value_to_json(value);
            out.RawValue(json.data(), json.size(), rapidjson::kStringType);
        }
        out.EndObject();
    }
    out.EndArray();
    out.EndObject();
    return {buffer.GetString(), buffer.GetSize()};
}

std::string items_to_yaml(const std::vector<Item>& items) {
    YAML::Emitter out;
    for (const auto& item : items) {
        out << YAML::BeginDoc << YAML::BeginMap;
        out << YAML::Key << "kind" << YAML::Value << item.kind << YAML::Key << "name" << YAML::Value << item.name
            << YAML::Key << "stack" << YAML::Value << item.stack;
        for (const auto& [key, value] : item.facts) {
            out << YAML::Key << key << YAML::Value;
            std::visit([&](const auto& v) { out << v; }, value);
        }
        out << YAML::EndMap;
    }
    return std::string(out.c_str()) + "\n";
}

}  // namespace ctl::cli
