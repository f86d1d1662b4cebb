#pragma once

#include "base/result.h"
#include "diff/change.h"
#include "drivers/lxc/cgroups.h"
#include "drivers/lxc/monitor.h"
#include "drivers/lxc/paths.h"

namespace ctl::drivers::lxc {

/// What working on a container needs; shared by threads that work on different ones.
struct Host {
    Paths paths;
    Monitors monitors;
    Cgroups cgroups;
};

/// Makes one change so. Idempotent; `conflict` when a container of that name is there and not ours.
[[nodiscard]] Status apply_change(const Host& host, const diff::Change& change);

/// The container as the host has it: see model::Container. `not_found` when it has no config.
[[nodiscard]] Result<model::Entry> observe_container(const Host& host, const std::string& name, bool running);

}  // namespace ctl::drivers::lxc
