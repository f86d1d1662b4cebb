#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace ctl::drivers::lxc {

/// What keeps the host from loading these kernel modules: no modprobe, for one that isn't there already.
[[nodiscard]] Status check_modules(const std::vector<std::string>& names);

/// Loads those that aren't loaded or part of the kernel, in their order. The error has modprobe's own words.
[[nodiscard]] Status load_modules(const std::vector<std::string>& names);

}  // namespace ctl::drivers::lxc
