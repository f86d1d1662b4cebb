#pragma once

#include <string>

#include "base/result.h"

namespace ctl::drivers::image {

/// Checks that a statically linked busybox is installed. Errors: missing_driver, with the package to install.
[[nodiscard]] Status check_busybox();

/// Builds a small root filesystem around the host's busybox in an empty directory and returns its fingerprint, which
/// depends on nothing but this recipe and the busybox. Its init runs a DHCP client on every interface that the
/// environment variable CTL_DHCP names, and ends on SIGUSR1.
[[nodiscard]] Result<std::string> build_busybox(int root);

}  // namespace ctl::drivers::image
