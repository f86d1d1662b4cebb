#pragma once

#include <optional>
#include <string>

#include "model/lowering.h"

// What keeps a NIC to its own addresses; shared by the firewalls of the kernel's bridges and of Open vSwitch.

namespace ctl::model {

struct NicFilter {
    bool mac = false;  ///< security.mac_filtering, and so on
    bool ipv4 = false;
    bool ipv6 = false;
    std::string own_mac;            ///< lower-case, colons
    std::optional<IpAddress> own4;  ///< none: it has no address of the family, and may not speak it
    std::optional<IpAddress> own6;
    IpAddress link_local;  ///< the one that the kernel makes of the MAC

    [[nodiscard]] bool is_on() const { return mac || ipv4 || ipv6; }
};

[[nodiscard]] NicFilter filter_of(const Attachment& nic);

}  // namespace ctl::model
