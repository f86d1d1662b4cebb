#pragma once

#include <vector>

#include "drivers/netlink/socket.h"
#include "model/ip.h"

// Neighbours that the host answers for: entries of the kernel's proxy tables.

namespace ctl::drivers::netlink {

struct NeighbourRecord {
    model::IpAddress address;
    int link = 0;
    unsigned char protocol = 0;  ///< who put it there; 0 if nobody said
};

/// By address, ours first.
[[nodiscard]] Result<std::vector<NeighbourRecord>> read_neighbours(Socket& socket);

/// RTM_NEWNEIGH or RTM_DELNEIGH for one of ours.
[[nodiscard]] Request neighbour_request(unsigned type, const model::IpAddress& address, int link);

}  // namespace ctl::drivers::netlink
