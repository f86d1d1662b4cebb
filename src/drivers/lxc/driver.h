#pragma once

#include <memory>

#include "base/result.h"
#include "drivers/api/driver.h"

namespace ctl::drivers {

/// The driver of containers: liblxc, with configs below STATE_DIR/containers (an lxcpath that lxc-ls -P can read) and what
/// running ones were started with below RUN_DIR/containers. Makes both directories when they are first needed.
[[nodiscard]] Result<std::unique_ptr<Driver>> make_lxc_driver(const DriverContext& context);

}  // namespace ctl::drivers
