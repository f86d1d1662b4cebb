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
        for (const auto family : families) {
            if (is_routed(device_)) check_routed(family);
            check_routes(family);
        }
        if (is_routed(device_)) check_has_address();
    }

private:
    [[nodiscard]] const Value* key(std::string_view name) const { return value_of(device_.keys, name); }
    [[nodiscard]] const Value* key(std::string_view family, std::string_view name) const {
        return key(fmt::format("{}.{}", family, name));
    }

    void check_limits() {
        const Value* parent = nic_parent(device_);
        const resource::Network* network = parent != nullptr ? validation_.network(parent->text) : nullptr;
        for (const auto limit : {"limits.ingress", "limits.egress", "limits.max"})
            if (const Value* value = key(limit); value != nullptr && network != nullptr)
                check_limit(limit, *value, *network);
        const Value* max = key("limits.max");
        for (const auto limit : {"limits.ingress", "limits.egress"})
            if (const Value* value = key(limit); value != nullptr && max != nullptr)
                validation_.error("two-limits", fmt::format("device {} has both limits.max and {}", name_, limit),
                                  value->where, "remove one of them; limits.max is both directions");
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
        for (const auto text : parse_list(routes->text))
            if (const auto cidr = Cidr::parse(text); cidr && cidr->prefix == 0)
                validation_.error("default-route", fmt::format("{} would be the host's default route to a container", text),
                                  routes->where, "name the subnets that are behind the container");
    }

    Validation& validation_;
    const std::string name_;
    const Device& device_;
};

}  // namespace

void validate_nic_type(Validation& validation, const std::string& device_name, const Device& device) {
    NicChecks(validation, device_name, device).run();
}

void validate_nic_gateways(Validation& validation, const resource::Container& container) {
    for (const auto family : families) {
        const std::string* first = nullptr;
        for (const auto& [name, device] : container.devices) {
            const Value* gateway = value_of(device.keys, fmt::format("{}.gateway", family));
            const bool is_default = device.type.text == "nic" && is_routed(device) &&
                                    value_of(device.keys, fmt::format("{}.address", family)) != nullptr &&
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
        if (const Value* parent = value_of(network.config, "parent"))
            uses_.emplace(parent->text, Use{fmt::format("network {}", quoted(network.name.text)), false, parent->where});
}

void ParentUse::add_nic(const std::string& user, const Device& device) {
    const Value* parent = value_of(device.keys, "parent");
    if (parent == nullptr || !stands_on_interface(device)) return;
    const bool takes_all = is_physical(device);
    const auto [use, is_first] = uses_.emplace(parent->text, Use{user, takes_all, parent->where});
    if (is_first || (!takes_all && !use->second.takes_all)) return;
    validation_.error(
        "parent-taken",
        fmt::format("{} can't have interface {}: it is {} of {} at {}", user, quoted(parent->text),
                    use->second.takes_all ? "the NIC" : "the parent", use->second.user, use->second.where.str()),
        parent->where, "use another interface");
}

}  // namespace ctl::model
