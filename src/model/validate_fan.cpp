#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "base/text.h"
#include "model/fan.h"
#include "model/open_vswitch.h"
#include "model/validation.h"
#include "model/value_types.h"

namespace ctl::model {

namespace {

using resource::Network;

// With "-fan" after it, it is a port's name.
constexpr std::size_t longest_name = 11;

class FanChecks {
public:
    FanChecks(Validation& validation, const Network& network)
        : validation_(validation), network_(network), name_(quoted(network.name.text)) {}

    void run() {
        if (network_.name.text.size() > longest_name)
            fault("fan-name", fmt::format("the name of the fan {} is too long for its tunnel's", name_), network_.name.where,
                  fmt::format("use {} characters at most", longest_name));
        if (const Value* driver = key("bridge.driver"); driver != nullptr && !is_ovs_network(network_))
            fault("fan-driver", fmt::format("network {} can't be a fan on a bridge of the kernel", name_), driver->where,
                  "set bridge.driver: openvswitch");
        for (const auto& [key, entry] : network_.config)
            if (!entry.value.empty() && !goes_with_fan(key, entry.value.text))
                fault("fan-key", fmt::format("{} of network {} doesn't go with bridge.mode: fan", key, name_),
                      entry.value.where, "remove it: a fan's addresses follow from the host's");
        const Value* mtu = key("bridge.mtu");
        const auto size = mtu != nullptr ? parse_mtu(mtu->text) : std::nullopt;
        if (size && *size > fan_mtu)
            fault("fan-mtu", fmt::format("the MTU {} of the fan {} leaves no room for its tunnel", *size, name_), mtu->where,
                  fmt::format("use {} at most", fan_mtu));
        check_subnets();
    }

private:
    [[nodiscard]] const Value* key(std::string_view name) const { return find_value(network_.config, name); }

    void fault(std::string_view rule, const std::string& what, const SourceSpan& where, const std::string& hint) {
        validation_.error(rule, what, where, hint);
    }

    static bool goes_with_fan(std::string_view key, std::string_view value) {
        constexpr std::array<std::string_view, 9> fine{"bridge.mode",      "bridge.driver",        "bridge.mtu",
                                                       "bridge.hwaddr",    "openvswitch.datapath", "ipv4.nat",
                                                       "ipv4.dhcp.expiry", "ipv4.firewall",        "ipv4.nat.order"};
        constexpr std::array<std::string_view, 8> groups{"bridge.", "ipv4.", "ipv6.",   "openvswitch.",
                                                         "parent",  "vlan",  "tunnel.", "security.acls"};
        if (key == "ipv6.address" && value == "none") return true;
        const auto is_of = [&](std::string_view group) { return key.starts_with(group); };
        return std::find(fine.begin(), fine.end(), key) != fine.end() || std::none_of(groups.begin(), groups.end(), is_of);
    }

    void check_subnets() {
        const Value* value = key("fan.underlay_subnet");
        const auto underlay = value != nullptr ? Cidr::parse(value->text) : std::nullopt;
        const auto whole = overlay_of(network_);
        if (!underlay || !whole) return;
        if (underlay->overlaps(*whole))
            fault("fan-subnets",
                  fmt::format("overlay {} and underlay {} of the fan {} overlap", whole->str(), underlay->str(), name_),
                  value->where, "use subnets that have nothing in common");
        else if (!fits(*whole, *underlay))
            fault("fan-subnets",
                  fmt::format("the overlay {} of the fan {} has no room for a subnet for each host of {}", whole->str(),
                              name_, underlay->str()),
                  value->where,
                  fmt::format("use an underlay of /{} or longer, or a greater overlay", std::min(32U, whole->prefix + 2)));
    }

    Validation& validation_;
    const Network& network_;
    const std::string name_;
};

}  // namespace

void validate_fans(Validation& validation) {
    constexpr std::array<std::string_view, 3> fan_keys{"fan.overlay_subnet", "fan.underlay_subnet", "fan.type"};
    for (const auto& network : validation.stack.networks) {
        if (!is_fan_network(network)) {
            for (const auto name : fan_keys)
                if (const Value* value = find_value(network.config, name))
                    validation.error("fan-key", fmt::format("{} of network {} is for fans", name, quoted(network.name.text)),
                                     value->where, "add bridge.mode: fan, or remove it");
            continue;
        }
        FanChecks(validation, network).run();
    }
}

}  // namespace ctl::model
