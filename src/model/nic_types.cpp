#include "model/nic_types.h"

#include "model/value_types.h"

namespace ctl::model {

bool is_routed(const resource::Device& nic) {
    const auto type = nic.keys.find("nictype");
    return type != nic.keys.end() && type->second.value.text == "routed";
}

std::vector<std::string_view> address_texts(const resource::Device& nic, std::string_view text) {
    if (is_routed(nic)) return parse_list(text);
    return {text};
}

}  // namespace ctl::model
