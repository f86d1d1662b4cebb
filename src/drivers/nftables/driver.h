#pragma once

#include <memory>

#include "drivers/api/driver.h"

namespace ctl::drivers {

/// Tables of nftables on the host, by libnftables. Only tables whose name begins with "ctl" are ever looked at, and only
/// those that carry our mark as their comment are replaced or deleted. Never fails: a kernel without nf_tables or a missing
/// privilege is found when something is asked of it.
[[nodiscard]] Result<std::unique_ptr<Driver>> make_nftables_driver(const DriverContext& context);

}  // namespace ctl::drivers
