#pragma once

#include <memory>

#include "base/result.h"
#include "drivers/api/driver.h"

namespace ctl::drivers {

/// The driver of proxies: a small program each, ctl-proxy, that outlives ctl. Its files are below RUN_DIR/proxies, so a
/// reboot forgets them with the processes.
[[nodiscard]] Result<std::unique_ptr<Driver>> make_proxy_driver(const DriverContext& context);

}  // namespace ctl::drivers
