#pragma once

#include <string>
#include <vector>

#include "base/result.h"

// What putting mounts and putting devices into running containers have in common.

namespace ctl::drivers::lxc {

/// Runs a program that enters a container; what it says of a failure is the error.
[[nodiscard]] Status run_helper(const std::vector<std::string>& argv);

/// Whether a map has that item as it is.
template <typename Map>
[[nodiscard]] bool keeps(const Map& map, const typename Map::value_type& item) {
    const auto found = map.find(item.first);
    return found != map.end() && found->second == item.second;
}

}  // namespace ctl::drivers::lxc
