#pragma once

#include <string>

#include "cli/session.h"

// The directories that the options mean: absolute, in one spelling.

namespace ctl::cli {

[[nodiscard]] std::string state_dir_of(const GlobalOptions& options);
[[nodiscard]] std::string run_dir_of(const GlobalOptions& options);

}  // namespace ctl::cli
