#pragma once

#include <string>

#include "base/result.h"
#include "drivers/api/driver.h"

namespace ctl::drivers::image {

/// What the store knows of an image beside what a manifest can say: when it came into the store, how large it is, what its
/// metadata says, and when and how well its source was looked at. Errors: not_found.
[[nodiscard]] Result<Facts> image_facts(const std::string& state_dir, const std::string& name);

}  // namespace ctl::drivers::image
