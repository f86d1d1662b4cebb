#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "support/builders.h"

// What reports and pictures are made of, in more detail than other tests need.

namespace ctl::test {

inline model::Link with_addresses(model::Link link, const std::vector<std::string>& addresses) {
    link.addresses = cidrs(addresses);
    return link;
}

inline model::Link with_master(model::Link link, std::string master) {
    link.master = std::move(master);
    return link;
}

inline model::OvsPort ovs_port(std::string bridge, std::optional<std::int64_t> tag = std::nullopt) {
    model::OvsPort port;
    port.bridge = std::move(bridge);
    port.tag = tag;
    return port;
}

inline model::OvsPort fake_bridge(std::string bridge, std::int64_t tag) {
    model::OvsPort port = ovs_port(std::move(bridge), tag);
    port.fake_bridge = true;
    return port;
}

}  // namespace ctl::test
