#include <algorithm>

#include <fmt/format.h>

#include "base/text.h"
#include "model/lower_instance.h"
#include "model/nic_types.h"
#include "model/validation.h"
#include "model/value_types.h"

namespace ctl::model {

namespace {

using resource::Device;
using resource::Network;

void check_nic_kind(Validation& validation, const std::string& device_name, const Device& device) {
    const Value* network = find_value(device.keys, "network");
    const Value* nictype = find_value(device.keys, "nictype");
    if (network != nullptr) {
        if (validation.network(network->text) == nullptr)
            validation.error(
                "unknown-network", fmt::format("no network {} is declared", quoted(network->text)), network->where,
                validation.suggestion(network->text, validation.networks,
                                      "declare it under networks, or name a link of the host with nictype and parent"));
        for (const auto key : {"nictype", "parent"})
            if (const Value* other = find_value(device.keys, key))
                validation.error("nic-kind", fmt::format("device {} has both network and {}", quoted(device_name), key),
                                 other->where, fmt::format("remove {}; the network says it", key));
        return;
    }
    if (nictype == nullptr) {
        validation.error("nic-kind", fmt::format("device {} says neither network nor nictype", quoted(device_name)),
                         device.where, "add network: NAME, or nictype: bridged and parent: LINK");
        return;
    }
    const Value* parent = find_value(device.keys, "parent");
    if (nictype->text == "p2p" || (nictype->text == "routed" && parent == nullptr)) return;
    if (parent == nullptr) {
        validation.error("missing-parent",
                         fmt::format("device {} of type {} has no parent", quoted(device_name), escaped(nictype->text)),
                         device.where, "add parent: NETWORK or an interface of the host");
        return;
    }
    if (!is_interface_name(parent->text) || parent->text == "lo")
        validation.value_error("bad-interface", fmt::format("{} can't be a parent", quoted(parent->text)), parent->where,
                               "name a network or an interface of the host, for instance eth0");
    const Network* declared = validation.network(parent->text);
    if (nictype->text == "bridged" && declared != nullptr && declared->type.text == "macvlan")
        validation.error("nic-kind",
                         fmt::format("device {} is bridged, but its parent {} is a macvlan network", quoted(device_name),
                                     quoted(parent->text)),
                         nictype->where, "write nictype: macvlan");
    if (nictype->text == "physical" && declared != nullptr)
        validation.error("nic-kind",
                         fmt::format("device {} is physical, but its parent {} is the network declared at {}",
                                     quoted(device_name), quoted(parent->text), declared->name.where.str()),
                         parent->where, "name an interface of the host, or write nictype: bridged or macvlan");
}

void check_nic_names(Validation& validation, const std::string& device_name, const Device& device) {
    const Value name = nic_name(device_name, device);
    if (!is_interface_name(name.text) || name.text == "lo")
        validation.value_error("bad-interface", fmt::format("{} can't be the name of an interface", quoted(name.text)),
                               name.where,
                               "add name: eth0, or another of 2 to 15 letters, digits, dashes, dots or underscores");
    const Value* host_name = find_value(device.keys, "host_name");
    if (host_name == nullptr) return;
    if (!is_interface_name(host_name->text) || host_name->text == "lo")
        validation.value_error("bad-interface", fmt::format("{} can't be the name of an interface", quoted(host_name->text)),
                               host_name->where, "use 2 to 15 letters, digits, dashes, dots or underscores");
    else if (const Network* network = validation.network(host_name->text))
        validation.error(
            "duplicate-host-name",
            fmt::format("host_name {} is the network declared at {}", quoted(host_name->text), network->name.where.str()),
            host_name->where, "choose another name, or remove it to have one chosen");
}

void check_nic_mtu(Validation& validation, const Device& device) {
    const Value* value = find_value(device.keys, "mtu");
    const Value* parent = nic_parent(device);
    if (value != nullptr)
        check_mtu(validation, *value, parent != nullptr ? validation.network(parent->text) : nullptr, "network");
}

/// An address of one family, with the prefix of its network's subnet when it has none.
std::optional<Cidr> checked_address(Validation& validation, const Device& device, std::string_view family,
                                    const Value& value) {
    const bool is_v4 = family == "ipv4";
    const auto cidr = Cidr::parse(value.text, true);
    if (!cidr || (cidr->address.family == IpAddress::Family::v4) != is_v4) {
        validation.value_error("bad-address",
                               fmt::format("{} is not an {} address", quoted(value.text), is_v4 ? "IPv4" : "IPv6"),
                               value.where, fmt::format("write for instance {}", is_v4 ? "10.0.3.32" : "fd42:3::32"));
        return std::nullopt;
    }
    const bool is_bare = value.text.find('/') == std::string::npos;
    if (const auto prefix = usual_prefix(device, cidr->address)) return is_bare ? Cidr{cidr->address, *prefix} : *cidr;
    const Value* parent = nic_parent(device);
    const Network* network = parent != nullptr ? validation.network(parent->text) : nullptr;
    std::optional<Cidr> outside;
    if (network != nullptr) {
        for (const auto& [subnet, where] : subnets_of(*network)) {
            if (subnet.address.family != cidr->address.family) continue;
            if (!subnet.contains(cidr->address)) {
                outside = subnet;
                continue;
            }
            if (subnet.address == cidr->address) {
                validation.error("address-taken",
                                 fmt::format("{} is the address of network {} itself, at {}", value.text,
                                             quoted(network->name.text), where.str()),
                                 value.where, fmt::format("use another address of {}", subnet.network().str()));
                return std::nullopt;
            }
            return is_bare ? Cidr{cidr->address, subnet.prefix} : *cidr;
        }
        if (outside) {
            validation.error("address-outside",
                             fmt::format("address {} is outside subnet {} of network {}", value.text,
                                         outside->network().str(), quoted(network->name.text)),
                             value.where, fmt::format("use an address inside {}", outside->network().str()));
            return std::nullopt;
        }
    }
    if (is_bare) {
        validation.error("address-without-prefix",
                         fmt::format("address {} has no prefix length, and no declared network says it", value.text),
                         value.where, fmt::format("write {}/{}", value.text, is_v4 ? 24 : 64));
        return std::nullopt;
    }
    return cidr;
}

void check_gateway(Validation& validation, const Device& device, std::string_view family, const std::vector<Cidr>& own) {
    const Value* value = find_value(device.keys, fmt::format("{}.gateway", family));
    if (value == nullptr || value->text == "none" || value->text == "auto" || is_routed(device)) return;
    const bool is_v4 = family == "ipv4";
    const auto gateway = IpAddress::parse(value->text);
    if (!gateway || (gateway->family == IpAddress::Family::v4) != is_v4) {
        validation.value_error(
            "bad-address", fmt::format("{} is not an {} address", quoted(value->text), is_v4 ? "IPv4" : "IPv6"),
            value->where,
            fmt::format("write the gateway as a bare address, for instance {}", is_v4 ? "10.0.3.1" : "fd42:3::1"));
        return;
    }
    if (own.empty()) return;
    const auto is_it = [&](const Cidr& cidr) { return cidr.address == *gateway; };
    const auto has_it = [&](const Cidr& cidr) { return cidr.contains(*gateway); };
    if (std::any_of(own.begin(), own.end(), is_it))
        validation.error("bad-gateway", fmt::format("gateway {} is the address of the device itself", value->text),
                         value->where, "name the router's address");
    else if (const bool is_link_local = Cidr::parse("fe80::/10")->contains(*gateway);
             !is_link_local && std::none_of(own.begin(), own.end(), has_it))
        validation.error("bad-gateway", fmt::format("gateway {} is outside {}", value->text, own.front().network().str()),
                         value->where, fmt::format("use an address inside {}", own.front().network().str()));
}

/// propagation, shift and raw.mount.options.
void check_mount_keys(Validation& validation, const std::string& device_name, const Device& device, bool is_root) {
    for (const std::string_view key : {"propagation", "shift", "raw.mount.options"}) {
        const Value* value = find_value(device.keys, key);
        if (!is_root || value == nullptr || value->text == "private" || value->text == "false") continue;
        validation.error("root-disk-key",
                         fmt::format("root disk {} has {}, which is for other disks", quoted(device_name), key),
                         value->where, fmt::format("take out {}", key));
    }
    const Value* options = find_value(device.keys, "raw.mount.options");
    if (options == nullptr) return;
    for (const auto& option : parse_list(options->text))
        if (!is_mount_flag(option))
            validation.error("bad-mount-option",
                             fmt::format("disk {} has the mount option {}, which a directory of the host can't be given",
                                         quoted(device_name), quoted(option)),
                             options->where, "it can have ro, nosuid, nodev and noexec");
}

}  // namespace

const Value* nic_parent(const Device& device) {
    if (const Value* network = find_value(device.keys, "network")) return network;
    return find_value(device.keys, "parent");
}

Value nic_name(const std::string& device_name, const Device& device) {
    const Value* name = find_value(device.keys, "name");
    return name != nullptr ? *name : Value{device_name, device.where};
}

std::vector<Cidr> nic_addresses(Validation& validation, const Device& device, std::string_view family) {
    std::vector<Cidr> good;
    const Value* value = find_value(device.keys, fmt::format("{}.address", family));
    if (value == nullptr || value->text == "none" || value->text == "auto") return good;
    for (const auto text : address_texts(device, value->text)) {
        const Value one{std::string(text), value->where};
        const auto cidr = checked_address(validation, device, family, one);
        if (!cidr) continue;
        const std::string reason = unusable_reason(*cidr);
        if (reason.empty()) good.push_back(*cidr);
        else validation.error("address-unusable", fmt::format("{} {}", text, reason), value->where, "use another address");
    }
    return good;
}

void validate_nic(Validation& validation, const std::string& device_name, const Device& device) {
    check_nic_kind(validation, device_name, device);
    check_nic_names(validation, device_name, device);
    if (const Value* mac = find_value(device.keys, "hwaddr"); mac != nullptr && !parse_unicast_mac(mac->text))
        validation.value_error("bad-mac", fmt::format("{} is not the MAC address of an interface", quoted(mac->text)),
                               mac->where, "write for instance 00:16:3e:12:34:56, or remove it to have one chosen");
    check_nic_mtu(validation, device);
    validate_nic_security(validation, device_name, device);
    validate_nic_vlans(validation, device_name, device);
    validate_nic_type(validation, device_name, device);
    for (const std::string_view family : {"ipv4", "ipv6"}) {
        check_gateway(validation, device, family, nic_addresses(validation, device, family));
        check_reserved_gateway(validation, device, family);
    }
}

void validate_disk(Validation& validation, const std::string& device_name, const Device& device) {
    const Value* path = find_value(device.keys, "path");
    const Value* source = find_value(device.keys, "source");
    const Value* pool = find_value(device.keys, "pool");
    if (path == nullptr) {
        validation.error("missing-path", fmt::format("disk {} has no path", quoted(device_name)), device.where,
                         "add path: / for the root disk, or the place in the container");
        return;
    }
    if (!is_absolute_path(path->text))
        validation.value_error("bad-path", fmt::format("{} is not an absolute path", quoted(path->text)), path->where,
                               "begin it with / and leave .. out");
    if (pool != nullptr && !validation.pools.contains(pool->text))
        validation.error("unknown-pool", fmt::format("no storage pool {} is declared", quoted(pool->text)), pool->where,
                         validation.suggestion(pool->text, validation.pools, "declare it under storage_pools"));
    const Value* size = find_value(device.keys, "size");
    if (size != nullptr && path->text != "/")
        validation.error("size-of-mount", fmt::format("disk {} is no root disk and has a size", quoted(device_name)),
                         size->where, "remove it; a custom volume has its size under volumes");
    check_mount_keys(validation, device_name, device, path->text == "/");
    if (path->text == "/") {
        if (pool != nullptr && size != nullptr) check_volume_size(validation, *pool, *size);
        if (pool == nullptr)
            validation.error("missing-pool", fmt::format("root disk {} has no pool", quoted(device_name)), device.where,
                             "add pool: NAME");
        if (source != nullptr)
            validation.error("root-source", fmt::format("root disk {} has a source", quoted(device_name)), source->where,
                             "remove it; the image of the container fills its root disk");
        return;
    }
    if (pool != nullptr) validate_volume_disk(validation, device_name, device);
    else if (source == nullptr)
        validation.error("missing-source", fmt::format("disk {} has no source", quoted(device_name)), device.where,
                         "add source: a directory or file of the host");
    else if (!is_absolute_path(source->text))
        validation.value_error("bad-path", fmt::format("{} is not an absolute path", quoted(source->text)), source->where,
                               "begin it with / and leave .. out");
}

}  // namespace ctl::model
