#pragma once

#include "drivers/api/driver.h"

namespace ctl::drivers {

/// Bridges and ports of Open vSwitch, through its database.
[[nodiscard]] Result<std::unique_ptr<Driver>> make_ovs_driver(const DriverContext& context);

}  // namespace ctl::drivers
