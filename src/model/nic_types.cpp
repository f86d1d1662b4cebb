#include "model/nic_types.h"

#include <fmt/format.h>

#include "model/value_types.h"

namespace ctl::model {

namespace {

std::string_view text_of(const resource::Device& nic, std::string_view key) {
    const auto found = nic.keys.find(key);
    return found != nic.keys.end() ? std::string_view(found->second.value.text) : std::string_view();
}

}  // namespace

bool is_ipvlan(const resource::Device& nic) { return text_of(nic, "nictype") == "ipvlan"; }

bool is_routed(const resource::Device& nic) {
    return text_of(nic, "nictype") == "routed" || (is_ipvlan(nic) && text_of(nic, "mode") != "l2");
}

bool is_physical(const resource::Device& nic) { return text_of(nic, "nictype") == "physical"; }

bool stands_on_interface(const resource::Device& nic) {
    const auto type = text_of(nic, "nictype");
    return type == "macvlan" || type == "ipvlan" || type == "physical" || type == "routed";
}

std::string vlan_ground(const Config& keys, std::string_view parent) {
    const auto vlan = keys.find("vlan");
    const auto number = vlan != keys.end() ? parse_uint(vlan->second.value.text, 4094) : std::nullopt;
    return number ? fmt::format("{}.{}", parent, *number) : std::string(parent);
}

std::optional<unsigned> usual_prefix(const resource::Device& nic, const IpAddress& address) {
    if (is_routed(nic)) return address.bits();
    if (!is_ipvlan(nic)) return std::nullopt;
    return address.family == IpAddress::Family::v4 ? 24 : 64;
}

std::vector<std::string_view> address_texts(const resource::Device& nic, std::string_view text) {
    if (is_routed(nic) || is_ipvlan(nic)) return parse_list(text);
    return {text};
}

}  // namespace ctl::model
