#pragma once

#include "base/result.h"
#include "drivers/dnsmasq/lease.h"

namespace ctl::drivers::dnsmasq {

/// Gives an IPv4 lease back to the dnsmasq that keeps it, as its client would (RFC 2131, DHCPRELEASE): dnsmasq keeps leases
/// in memory and offers no other way. `server` is an address of the interface it serves. It is one datagram and there is no
/// answer to it.
[[nodiscard]] Status release_lease(const Lease& lease, const std::string& server);

}  // namespace ctl::drivers::dnsmasq
