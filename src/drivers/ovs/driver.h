#pragma once

#include "drivers/api/driver.h"

namespace ctl::drivers {

/// Lists the bridges of an Open vSwitch database; changing them is refused as unsupported.
[[nodiscard]] Result<std::unique_ptr<Driver>> make_ovs_driver(const DriverContext& context);

}  // namespace ctl::drivers
