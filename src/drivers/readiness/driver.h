#pragma once

#include <memory>

#include "base/result.h"
#include "drivers/api/driver.h"

namespace ctl::drivers {

/// The driver of what containers have to have reached before others start. It changes nothing: a readiness is made by
/// waiting for it, and is there for as long as this driver lives. A driver of its own, so that it keeps no container of
/// the plan waiting that needn't.
[[nodiscard]] Result<std::unique_ptr<Driver>> make_readiness_driver(const DriverContext& context);

}  // namespace ctl::drivers
