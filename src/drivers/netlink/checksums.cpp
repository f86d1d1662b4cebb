#include "drivers/netlink/checksums.h"

#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>

#include <cerrno>
#include <cstring>

namespace ctl::drivers::netlink {

namespace {

/// Route netlink does not tell of it, and ethtool's own netlink would be a second socket for each namespace. The older
/// request goes by any socket, so by the one that is open already.
int ask(int socket, const std::string& link, ethtool_value& value) {
    ifreq request{};
    if (link.size() >= sizeof request.ifr_name) return ENODEV;
    std::memcpy(request.ifr_name, link.data(), link.size());
    request.ifr_data = reinterpret_cast<char*>(&value);
    return ::ioctl(socket, SIOCETHTOOL, &request) == 0 ? 0 : errno;
}

}  // namespace

std::optional<bool> leaves_checksums(int socket, const std::string& link) {
    ethtool_value value{ETHTOOL_GTXCSUM, 0};
    return ask(socket, link, value) == 0 ? std::optional(value.data != 0) : std::nullopt;
}

int leave_checksums(int socket, const std::string& link, bool leave) {
    ethtool_value value{ETHTOOL_STXCSUM, leave ? 1U : 0U};
    return ask(socket, link, value);
}

}  // namespace ctl::drivers::netlink
