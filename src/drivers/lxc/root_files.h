#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "drivers/lxc/paths.h"

namespace ctl::drivers::lxc {

/// Writes into a container's root filesystem, before it starts, what it is to find there: the files that its image makes of
/// templates, and cloud-init's seed. They belong to the container's own root. Whatever its tree holds, nothing outside of it
/// is touched: a symbolic link on the way is an `invalid` error. `config` is what it will be started with.
[[nodiscard]] Status write_root_files(const std::string& name, const Paths& paths, std::string_view config);

}  // namespace ctl::drivers::lxc
