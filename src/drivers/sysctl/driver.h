#pragma once

#include <memory>

#include "drivers/api/driver.h"

namespace ctl::drivers {

/// Kernel parameters below /proc/sys of the host. They are always borrowed: nobody makes or deletes them.
[[nodiscard]] Result<std::unique_ptr<Driver>> make_sysctl_driver(const DriverContext& context);

/// The file of a parameter: dots part the folders, and as in sysctl(8) a slash stands for a dot inside a name
/// (net.ipv4.conf.eth0/1.forwarding is eth0.1's). Errors: invalid for empty parts, "..", a leading slash.
[[nodiscard]] Result<std::string> sysctl_path(std::string_view name);

}  // namespace ctl::drivers
