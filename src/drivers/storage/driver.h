#pragma once

#include <memory>

#include "drivers/api/driver.h"

namespace ctl::drivers {

/// Pools and volumes: directories with a container's root filesystem in each, cloned from an image. See store.h for what
/// is where.
[[nodiscard]] Result<std::unique_ptr<Driver>> make_storage_driver(const DriverContext& context);

}  // namespace ctl::drivers
