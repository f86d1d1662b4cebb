#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "drivers/lxc/cgroups.h"
#include "drivers/lxc/monitor.h"
#include "drivers/lxc/paths.h"

namespace ctl::drivers::lxc {

/// Starts the container with its config as it is now and returns when its init runs. What an earlier attempt left behind is
/// cleaned up first, what a failed one leaves at once. The error is liblxc's own first one, the hint names its log.
[[nodiscard]] Status start_container(const std::string& name, const Paths& paths, const Monitors& monitors,
                                     const Cgroups& cgroups);

/// Asks the container's init to shut down, kills it after `patience` (absent: its stop_timeout, or 10 s), and waits for the
/// end of it. Leaves no cgroup.
[[nodiscard]] Status stop_container(const std::string& name, const Paths& paths, const Monitors& monitors,
                                    const Cgroups& cgroups, std::optional<std::chrono::seconds> patience = {});

/// The message of the first error in a log of liblxc's, without time and place; empty if there is none.
[[nodiscard]] std::string first_error(std::string_view log);

}  // namespace ctl::drivers::lxc
