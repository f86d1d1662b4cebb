#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "base/text.h"
#include "model/nic_types.h"
#include "model/open_vswitch.h"
#include "model/validation.h"
#include "model/value_types.h"

namespace ctl::model {

namespace {

using resource::Device;

constexpr std::array<std::string_view, 2> families{"ipv4", "ipv6"};

class NicChecks {
public:
    NicChecks(Validation& validation, const std::string& device_name, const Device& device)
        : validation_(validation), name_(quoted(device_name)), device_(device) {}

    void run() {
        check_limits();
        check_vlan();
        if (is_ipvlan(device_)) check_mac();
        for (const auto family : families) {
            if (is_routed(device_)) check_routed(family);
            check_routes(family);
        }
        if (is_routed(device_)) check_has_address();
    }

private:
    [[nodiscard]] const Value* key(std::string_view name) const { return find_value(device_.keys, name); }
    [[nodiscard]] const Value* key(std::string_view family, std::string_view name) const {
        return key(fmt::format("{}.{}", family, name));
    }

    void check_limits() {
        const Value* parent = nic_parent(device_);
        const resource::Network* network = parent != nullptr ? validation_.network(parent->text) : nullptr;
        for (const auto limit : {"limits.ingress", "limits.egress", "limits.max"})
            if (const Value* value = key(limit); value != nullptr && network != nullptr)
                check_limit(limit, *value, *network);
        if (const Value* value = key("limits.priority"); value != nullptr && value->text != "0")
            check_priority(*value, network);
        const Value* max = key("limits.max");
        for (const auto limit : {"limits.ingress", "limits.egress"})
            if (const Value* value = key(limit); value != nullptr && max != nullptr)
                validation_.error("two-limits", fmt::format("device {} has both limits.max and {}", name_, limit),
                                  value->where, "remove one of them; limits.max is both directions");
    }

    void check_priority(const Value& value, const resource::Network* network) {
        if (!parse_uint(value.text, max_packet_priority))
            validation_.value_error("bad-priority", fmt::format("{} is no priority of packets", quoted(value.text)),
                                    value.where, fmt::format("write a number up to {}", max_packet_priority));
        if (network == nullptr || network->type.text != "bridge" || is_ovs_network(*network))
            validation_.error(
                "unsupported",
                fmt::format("limits.priority of device {} needs a bridge of the kernel that is declared here", name_),
                value.where, "use a network with bridge.driver: native, or remove it");
    }

    void check_limit(std::string_view limit, const Value& value, const resource::Network& network) {
        if (is_ovs_network(network))
            validation_.error("unsupported", fmt::format("{} is not supported on openvswitch yet", limit), value.where,
                              "use a network with bridge.driver: native");
        else if (network.type.text == "macvlan")
            validation_.error(
                "limit-of-macvlan",
                fmt::format("{} of device {} has nothing to work on: a macvlan has no end on the host", limit, name_),
                value.where, "use a bridge, or remove it");
    }

    /// PARENT.VLAN is an interface of the host.
    void check_vlan() {
        if (!stands_on_interface(device_)) return;
        check_vlan_interface(validation_, device_.keys);
        if (const Value* vlan = key("vlan"); vlan != nullptr && key("parent") == nullptr)
            validation_.error("missing-parent", fmt::format("device {} has a vlan but no parent", name_), vlan->where,
                              "add parent: the interface that the VLAN is on");
    }

    void check_mac() {
        if (const Value* mac = key("hwaddr"))
            validation_.error("ipvlan-mac", fmt::format("device {} is an ipvlan, which has its parent's MAC", name_),
                              mac->where, "remove hwaddr, or write nictype: macvlan");
    }

    void check_routed(std::string_view family) {
        if (const Value* gateway = key(family, "gateway");
            gateway != nullptr && gateway->text != "auto" && gateway->text != "none")
            validation_.error(
                "bad-gateway",
                fmt::format("the gateway of device {} is the host; it can't be {}", name_, quoted(gateway->text)),
                gateway->where, "write auto or none");
        for (const Cidr& cidr : nic_addresses(validation_, device_, family))
            if (cidr.prefix != cidr.address.bits())
                validation_.error(
                    "address-of-subnet",
                    fmt::format("device {} can't have a subnet: the host routes to single addresses, not to {}", name_,
                                cidr.network().str()),
                    key(family, "address")->where, fmt::format("write {}", cidr.address.str()));
    }

    void check_has_address() {
        const bool has_any = std::any_of(families.begin(), families.end(), [&](std::string_view family) {
            const Value* address = key(family, "address");
            return address != nullptr && address->text != "none";
        });
        if (!has_any)
            validation_.error("missing-address", fmt::format("device {} has no address that the host could route to", name_),
                              device_.where, "add ipv4.address or ipv6.address");
    }

    void check_routes(std::string_view family) {
        const Value* routes = key(family, "routes");
        if (routes == nullptr) return;
        if (is_routed(device_) && key(family, "address") == nullptr)
            validation_.error(
                "routes-without-address",
                fmt::format("device {} has {}.routes but no {}.address to route them to", name_, family, family),
                routes->where, fmt::format("add {}.address", family));
    }

    Validation& validation_;
    const std::string name_;
    const Device& device_;
};

/// A NIC of whose kind an interface bears only one, or only more of the same.
bool bear_company(const std::string& one, const std::string& other) {
    const auto takes_all = [](const std::string& type) { return type == "physical"; };
    const auto taps = [](const std::string& type) { return type == "macvlan" || type == "ipvlan"; };
    if (takes_all(one) || takes_all(other)) return false;
    return one == other || !taps(one) || !taps(other);
}

}  // namespace

void check_vlan_interface(Validation& validation, const Config& keys) {
    const Value* vlan = find_value(keys, "vlan");
    if (vlan == nullptr) return;
    const auto number = parse_uint(vlan->text, 4094);
    if (!number || *number == 0)
        return validation.value_error("bad-vlan", fmt::format("{} is no VLAN of an interface", quoted(vlan->text)),
                                      vlan->where, "write a number from 1 to 4094");
    const Value* parent = find_value(keys, "parent");
    if (parent == nullptr) return;
    if (const std::string interface = fmt::format("{}.{}", parent->text, *number); !is_interface_name(interface))
        validation.error("bad-interface",
                         fmt::format("VLAN {} of {} would be the interface {}, which is too long a name", *number,
                                     quoted(parent->text), quoted(interface)),
                         vlan->where, "make the VLAN's interface yourself, with a shorter name, and name it as parent");
}

void validate_nic_type(Validation& validation, const std::string& device_name, const Device& device) {
    NicChecks(validation, device_name, device).run();
}

void validate_nic_gateways(Validation& validation, const resource::Container& container) {
    for (const auto family : families) {
        const std::string* first = nullptr;
        for (const auto& [name, device] : container.devices) {
            const Value* gateway = find_value(device.keys, fmt::format("{}.gateway", family));
            const bool is_default = device.type.text == "nic" && is_routed(device) &&
                                    find_value(device.keys, fmt::format("{}.address", family)) != nullptr &&
                                    (gateway == nullptr || gateway->text != "none");
            if (!is_default) continue;
            if (first != nullptr)
                validation.error("two-gateways",
                                 fmt::format("devices {} and {} of container {} both are its default way for {}",
                                             quoted(*first), quoted(name), quoted(container.name.text), family),
                                 device.where, fmt::format("add {}.gateway: none to one of them", family));
            first = &name;
        }
    }
}

ParentUse::ParentUse(Validation& validation) : validation_(validation) {
    for (const auto& network : validation.stack.networks)
        if (const Value* parent = find_value(network.config, "parent"); parent != nullptr && network.type.text == "macvlan")
            uses_[vlan_ground(network.config, parent->text)].push_back(
                {fmt::format("network {}", quoted(network.name.text)), "macvlan", "", parent->where});
}

void ParentUse::add_nic(const std::string& user, const Device& device) {
    const Value* parent = find_value(device.keys, "parent");
    if (parent == nullptr || !stands_on_interface(device)) return;
    const std::string interface = vlan_ground(device.keys, parent->text);
    const Value* mode = find_value(device.keys, "mode");
    Use use{user, std::string(find_value(device.keys, "nictype")->text), mode != nullptr ? mode->text : "l3s",
            parent->where};
    for (const Use& other : uses_[interface]) {
        if (!bear_company(use.type, other.type))
            validation_.error(
                "parent-taken",
                fmt::format("{} can't be of type {} on {}: {} at {} is of type {} there", user, escaped(use.type),
                            quoted(interface), other.user, other.where.str(), escaped(other.type)),
                parent->where, "use another interface");
        else if (is_ipvlan(device) && other.type == use.type && other.mode != use.mode)
            validation_.error(
                "ipvlan-mode",
                fmt::format("{} can't have mode {} on {}: {} at {} has mode {}, and an interface has only one", user,
                            escaped(use.mode), quoted(interface), other.user, other.where.str(), escaped(other.mode)),
                mode != nullptr ? mode->where : parent->where, "use one mode for all ipvlans of an interface");
    }
    // One of a sort stands for the others.
    auto& known = uses_[interface];
    const auto is_like = [&](const Use& other) { return other.type == use.type && other.mode == use.mode; };
    if (std::none_of(known.begin(), known.end(), is_like)) known.push_back(std::move(use));
}

}  // namespace ctl::model
