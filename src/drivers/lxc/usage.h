#pragma once

#include <string>

#include "drivers/api/driver.h"
#include "drivers/lxc/changes.h"

namespace ctl::drivers::lxc {

/// What a running container takes now: pid, processes, cpu_ns (since it started), memory and memory_peak (bytes; of all its
/// processes, with the page cache). Figures that the kernel doesn't keep are left out.
[[nodiscard]] Facts usage_of(const Host& host, const std::string& name);

}  // namespace ctl::drivers::lxc
