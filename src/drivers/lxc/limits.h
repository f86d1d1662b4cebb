#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "drivers/lxc/cgroups.h"
#include "drivers/lxc/config_file.h"
#include "model/object.h"

// A container's limits: as lines of its config, and in its cgroups while it runs. Those of cgroup version 1 and 2 are told
// apart by controller, since a host may have both.

namespace ctl::drivers::lxc {

/// The lines, each with its end. `invalid` for values that are not in the form model::Container names.
[[nodiscard]] Result<std::string> limit_lines(const model::Container& container, const ConfigFacts& facts);
/// Takes one of limit_lines() back, given in their order: true if it was one and its field had no value yet.
bool read_limit(std::string_view key, std::string_view value, model::Container& container);

/// What keeps the host from limiting the container so: a controller or a file that isn't there.
[[nodiscard]] Status check_limits(const model::Container& container, const Cgroups& cgroups);

/// Puts the limits that the container `name` runs under in the place of those that its config names.
void observe_limits(const std::string& name, const Cgroups& cgroups, model::Container& container);

/// Gives the running container those of `next`'s limits whose field `touches` names; what is absent goes back to what a
/// container has of whom nothing is said.
[[nodiscard]] Status apply_limits(const std::string& name, const Cgroups& cgroups, const model::Container& next,
                                  const std::function<bool(std::string_view)>& touches);

/// What liblxc leaves undone when it starts a container.
[[nodiscard]] Status apply_late_limits(const std::string& name, const Cgroups& cgroups, const model::Container& container);

// What limit_lines() has to know of the host.
[[nodiscard]] std::string disk_weight_file(const Cgroups& cgroups);
[[nodiscard]] bool counts_swap(const Cgroups& cgroups);

}  // namespace ctl::drivers::lxc
