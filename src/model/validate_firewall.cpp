#include <algorithm>

#include <fmt/format.h>

#include "base/text.h"
#include "model/open_vswitch.h"
#include "model/traffic.h"
#include "model/validation.h"
#include "model/value_types.h"

namespace ctl::model {

namespace {

using resource::Device;
using resource::Network;

constexpr std::string_view families[] = {"ipv4", "ipv6"};

bool is_on(const Config& config, std::string_view key) {
    const Value* value = find_value(config, key);
    return value != nullptr && parse_bool(value->text).value_or(false);
}

/// A bridge that says nothing of addresses has both, unless it is part of somebody's LAN.
bool has_subnet(const Network& network, std::string_view family) {
    const Value* address = find_value(network.config, fmt::format("{}.address", family));
    if (address != nullptr) return address->text != "none";
    for (const auto other : families)
        if (find_value(network.config, fmt::format("{}.address", other)) != nullptr) return false;
    return find_value(network.config, "bridge.external_interfaces") == nullptr &&
           find_value(network.config, "parent") == nullptr;
}

void check_nat(Validation& validation, const Network& network, std::string_view family) {
    const std::string key = fmt::format("{}.nat", family);
    const Value* address = find_value(network.config, fmt::format("{}.address", family));
    if (is_on(network.config, key) && address != nullptr && address->text == "none")
        validation.error("nat-without-subnet",
                         fmt::format("network {} has {}, but {}.address is none: there is nothing to translate",
                                     quoted(network.name.text), key, family),
                         find_value(network.config, key)->where, "give it an address, or remove the key");
    const Value* source = find_value(network.config, key + ".address");
    const auto own = address != nullptr ? Cidr::parse(address->text) : std::nullopt;
    const auto wanted = source != nullptr ? IpAddress::parse(source->text) : std::nullopt;
    if (own && wanted && own->contains(*wanted))
        validation.error("nat-address",
                         fmt::format("{}.nat.address {} is in the subnet {} that it would stand for", family, source->text,
                                     own->network().str()),
                         source->where, "use an address of the host that the outside knows");
}

void check_acl_names(Validation& validation, const Network& network) {
    const Value* names = find_value(network.config, "security.acls");
    if (names == nullptr) return;
    std::set<std::string_view> seen;
    for (const auto name : parse_list(names->text)) {
        if (!validation.acls.contains(name))
            validation.error("unknown-acl", fmt::format("no network ACL {} is declared", quoted(name)), names->where,
                             validation.suggestion(name, validation.acls, "declare it under network_acls"));
        else if (!seen.insert(name).second)
            validation.error("duplicate-acl", fmt::format("network ACL {} is listed twice", quoted(name)), names->where,
                             "remove one of them");
    }
}

/// One of a NIC's switches that the key names, if it is on.
const Value* switched_on(const Device& device, std::string_view key) {
    return is_on(device.keys, key) ? find_value(device.keys, key) : nullptr;
}

/// What the switch looks at is in flows and in its own way of switching, and with a controller those are the controller's.
void check_switch(Validation& validation, std::string_view key, const Value& value, const Network& network) {
    const Value* parent = fake_bridge_parent(network);
    const Network* declared = parent != nullptr ? validation.network(parent->text) : &network;
    if (declared == nullptr) return;
    for (const std::string_view other : {"openvswitch.controllers", "openvswitch.fail_mode"}) {
        const Value* controlled = find_value(declared->config, other);
        if (controlled == nullptr || controlled->text == "standalone") continue;
        validation.error(
            "filter-with-controller",
            fmt::format("{} does not work together with {} of network {}", key, other, quoted(declared->name.text)),
            value.where, fmt::format("let the controller do it, or remove {}", other));
        return;
    }
}

void check_address_filter(Validation& validation, const std::string& device_name, const Device& device,
                          const Network& network, std::string_view family) {
    const std::string key = fmt::format("security.{}_filtering", family);
    const Value* filter = switched_on(device, key);
    if (filter == nullptr) return;
    for (const std::string_view vlan : {"vlan", "vlan.tagged"})
        if (const Value* other = find_value(device.keys, vlan))
            validation.error("filter-with-vlan", fmt::format("{} does not work together with {}", key, vlan), other->where,
                             fmt::format("remove {}, or {}", vlan, key));
    // Written as none it is there without a value: the NIC shall have no address, and needs none to be kept to.
    const auto address = device.keys.find(fmt::format("{}.address", family));
    const bool is_open = address == device.keys.end() || address->second.value.text == "auto";
    if (is_open && has_subnet(network, family))
        validation.error(
            "filter-without-address",
            fmt::format("device {} has {}, but no {}.address that it could be kept to", quoted(device_name), key, family),
            filter->where,
            fmt::format("add {0}.address: an address of network {1}, or {0}.address: none", family,
                        escaped(network.name.text)));
}

}  // namespace

void validate_network_firewalls(Validation& validation) {
    for (const auto& network : validation.stack.networks) {
        for (const auto family : families) check_nat(validation, network, family);
        check_acl_names(validation, network);
    }
}

void validate_nic_security(Validation& validation, const std::string& device_name, const Device& device) {
    const Value* parent = nic_parent(device);
    const Network* network = parent != nullptr ? validation.network(parent->text) : nullptr;
    for (const std::string_view key :
         {"security.mac_filtering", "security.ipv4_filtering", "security.ipv6_filtering", "security.port_isolation"}) {
        const Value* value = switched_on(device, key);
        if (value == nullptr || parent == nullptr) continue;
        if (network == nullptr)
            validation.error(
                "security-parent",
                fmt::format("{} needs a bridge that is declared here, and {} is not", key, quoted(parent->text)),
                value->where, "declare the bridge under networks");
        else if (is_ovs_network(*network)) check_switch(validation, key, *value, *network);
        else if (network->type.text != "bridge")
            validation.error("security-parent",
                             fmt::format("{} works on bridges only, and {} is of type {}", key, quoted(parent->text),
                                         escaped(network->type.text)),
                             value->where, fmt::format("remove {}", key));
    }
    if (network == nullptr || network->type.text != "bridge") return;
    for (const auto family : families) check_address_filter(validation, device_name, device, *network, family);
}

}  // namespace ctl::model
