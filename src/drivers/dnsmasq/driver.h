#pragma once

#include <memory>

#include "drivers/api/driver.h"

namespace ctl::drivers {

/// One dnsmasq per network, as a daemon that outlives ctl, with its files in STATE_DIR/networks/NAME/. It serves the network
/// namespace that ctl works in.
[[nodiscard]] Result<std::unique_ptr<Driver>> make_dnsmasq_driver(const DriverContext& context);

}  // namespace ctl::drivers
