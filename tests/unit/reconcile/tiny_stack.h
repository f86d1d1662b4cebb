#pragma once

#include <optional>
#include <string>
#include <vector>

#include "model/resource.h"

namespace ctl::testing {

/// The stack "lab" with bridges of these names.
inline model::resource::Stack bridges(const std::vector<std::string>& names, const std::optional<std::string>& mtu = {}) {
    model::resource::Stack stack;
    stack.name = "lab";
    for (const auto& name : names) {
        model::resource::Network network;
        network.name = {name, {}};
        network.type = {"bridge", {}};
        network.config["ipv4.address"] = {{"none", {}}, {}};
        network.config["ipv6.address"] = {{"none", {}}, {}};
        if (mtu) network.config["bridge.mtu"] = {{*mtu, {}}, {}};
        stack.networks.push_back(std::move(network));
    }
    return stack;
}

}  // namespace ctl::testing
