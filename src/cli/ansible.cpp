#include "cli/ansible.h"

#include <map>
#include <set>

#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include "base/text.h"

namespace ctl::cli {

namespace {

using Writer = rapidjson::Writer<rapidjson::StringBuffer>;
using Groups = std::map<std::string, std::set<std::string>>;

/// Ansible takes groups for names of variables: letters, digits and underscores.
std::string group_name(std::string_view prefix, std::string_view text) {
    std::string name(prefix);
    for (const char c : text) {
        const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
        name += plain ? c : '_';
    }
    return name;
}

Groups groups_of(const std::vector<Item>& containers) {
    Groups groups{{"running", {}}, {"stopped", {}}, {"frozen", {}}};
    for (const auto& item : containers) {
        if (const auto state = item.fact("state"); groups.contains(state)) groups[state].insert(item.name);
        groups[group_name("stack_", item.stack)].insert(item.name);
        if (const auto image = item.fact("image"); !image.empty()) groups[group_name("image_", image)].insert(item.name);
    }
    return groups;
}

void write(Writer& out, const char* key, const std::string& text) {
    out.Key(key);
    out.String(text);
}

/// "10.0.3.2 (eth0), 10.0.4.2 (eth1)" without the interfaces.
void write_addresses(Writer& out, const char* key, const Item& item) {
    out.Key(key);
    out.StartArray();
    const std::string addresses = item.fact(key);
    for (const auto address : split(addresses, ','))
        if (const auto plain = trimmed(address); !plain.empty()) out.String(std::string(plain.substr(0, plain.find(' '))));
    out.EndArray();
}

void write_host(Writer& out, const Item& item) {
    out.Key(item.name.c_str());
    out.StartObject();
    // Of the collection community.general; it runs commands in the container by liblxc, with no network and no ssh.
    write(out, "ansible_connection", "community.general.lxc");
    write(out, "ansible_host", item.name);
    write(out, "stack", item.stack);
    write(out, "image", item.fact("image"));
    write(out, "state", item.fact("state"));
    write_addresses(out, "ipv4", item);
    write_addresses(out, "ipv6", item);
    out.EndObject();
}

}  // namespace

std::string items_to_ansible(const std::vector<Item>& containers) {
    rapidjson::StringBuffer buffer;
    Writer out(buffer);
    out.StartObject();
    out.Key("_meta");
    out.StartObject();
    out.Key("hostvars");
    out.StartObject();
    for (const auto& item : containers) write_host(out, item);
    out.EndObject();
    out.EndObject();
    for (const auto& [group, hosts] : groups_of(containers)) {
        out.Key(group.c_str());
        out.StartObject();
        out.Key("hosts");
        out.StartArray();
        for (const auto& host : hosts) out.String(host);
        out.EndArray();
        out.EndObject();
    }
    out.EndObject();
    return {buffer.GetString(), buffer.GetSize()};
}

}  // namespace ctl::cli
