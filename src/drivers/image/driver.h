#pragma once

#include <memory>

#include "drivers/api/driver.h"

namespace ctl::drivers {

/// Images: root filesystems made from busybox, a tarball or a directory, kept by fingerprint. See store.h for what is where.
[[nodiscard]] Result<std::unique_ptr<Driver>> make_image_driver(const DriverContext& context);

}  // namespace ctl::drivers
