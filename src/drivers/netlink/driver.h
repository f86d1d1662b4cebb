#pragma once

#include <memory>

#include "drivers/api/driver.h"

namespace ctl::drivers {

/// Network namespaces, links and routes, by netlink. Fails only if its sockets can't be opened.
[[nodiscard]] Result<std::unique_ptr<Driver>> make_netlink_driver(const DriverContext& context);

}  // namespace ctl::drivers
