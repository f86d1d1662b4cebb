#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "drivers/lxc/paths.h"
#include "model/object.h"

// A file beside a container's config that names the state a person brought it to by hand and wants it to stay in. It counts
// as long as the container is in that state: so one that was stopped on purpose is told from one that died.

namespace ctl::drivers::lxc {

[[nodiscard]] std::optional<model::ContainerState> held_state(const Paths& paths, const std::string& name);
[[nodiscard]] Status hold(const Paths& paths, const std::string& name, model::ContainerState state);
[[nodiscard]] Status release(const Paths& paths, const std::string& name);

}  // namespace ctl::drivers::lxc
