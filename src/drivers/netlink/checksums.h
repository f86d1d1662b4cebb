#pragma once

#include <optional>
#include <string>

namespace ctl::drivers::netlink {

/// Whether the link leaves the checksums of what it sends to hardware or whoever takes it. `socket` is any socket of the
/// link's namespace. Nothing if the link is gone or doesn't say.
[[nodiscard]] std::optional<bool> leaves_checksums(int socket, const std::string& link);

/// 0, or an errno.
[[nodiscard]] int leave_checksums(int socket, const std::string& link, bool leave);

}  // namespace ctl::drivers::netlink
