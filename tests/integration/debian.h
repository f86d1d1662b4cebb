#pragma once

#include <optional>
#include <string>

namespace ctl::testing {

/// The root directory of a minimal Debian with systemd, made by debootstrap at the first time and kept for all tests. Empty,
/// with the reason in `why`, if that can't be done here.
[[nodiscard]] std::optional<std::string> debian_root(std::string& why);

/// The same with cloud-init, ifupdown and an SSH server.
[[nodiscard]] std::optional<std::string> debian_cloud_root(std::string& why);

}  // namespace ctl::testing
