#pragma once

#include <string>
#include <string_view>

#include "diff/change.h"

namespace ctl::diff {

/// The field of a volume's update that no volume has: the name of the snapshot whose files are to be put back.
inline constexpr std::string_view restored_field = "snapshot";

/// That name; empty when the change puts nothing back.
[[nodiscard]] std::string restored_snapshot(const Change& change);

}  // namespace ctl::diff
