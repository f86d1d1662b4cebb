#pragma once

#include <string>

#include "base/diagnostics.h"

namespace ctl::cli {

/// SARIF 2.1.0 with rule, region and a fingerprint that survives moved lines, for code scanning services.
[[nodiscard]] std::string to_sarif(const Diagnostics& diagnostics);

}  // namespace ctl::cli
