#include "model/nic_types.h"

#include "model/value_types.h"

namespace ctl::model {

namespace {

std::string_view type_of(const resource::Device& nic) {
    const auto type = nic.keys.find("nictype");
    return type != nic.keys.end() ? std::string_view(type->second.value.text) : std::string_view();
}

}  // namespace

bool is_routed(const resource::Device& nic) { return type_of(nic) == "routed"; }

bool is_physical(const resource::Device& nic) { return type_of(nic) == "physical"; }

bool stands_on_interface(const resource::Device& nic) {
    const auto type = type_of(nic);
    return type == "macvlan" || type == "physical" || type == "routed";
}

std::vector<std::string_view> address_texts(const resource::Device& nic, std::string_view text) {
    if (is_routed(nic)) return parse_list(text);
    return {text};
}

}  // namespace ctl::model
