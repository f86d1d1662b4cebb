#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "drivers/api/driver.h"

// What drivers tell of things beside their state, as people read it.

namespace ctl::cli {

using FactsByObject = std::map<model::ObjectId, drivers::Facts>;

/// Null if nothing is told of it.
[[nodiscard]] const drivers::Facts* facts_of(const FactsByObject& facts, const model::ObjectId& id);
[[nodiscard]] std::optional<std::int64_t> number_of(const drivers::Facts* facts, const std::string& name);

/// "1.5 MB": SI units, as LXD prints them.
[[nodiscard]] std::string bytes_text(std::int64_t bytes);
/// "1.5 MB in 1200 packets", or "-" when the link has told nothing. `direction` is rx or tx.
[[nodiscard]] std::string traffic(const drivers::Facts* facts, const std::string& direction);

}  // namespace ctl::cli
