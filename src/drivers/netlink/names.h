#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "diff/change.h"
#include "model/object.h"

namespace ctl::drivers::netlink {

/// Route and address protocol number of ours: what carries it in a dump was put there by ctl.
inline constexpr unsigned char our_protocol = 199;

/// `invalid` unless the name may become a directory below the run directory.
[[nodiscard]] Status check_netns_name(std::string_view name);

/// `invalid` unless both parts of a link's scoped name may be what they are to be.
[[nodiscard]] Status check_link_name(const model::ScopedName& name);

/// The name under which a host's or a namespace's route is known: "web:0.0.0.0/0", "10.0.0.0/8", ":fd42::/64".
[[nodiscard]] std::string route_name(std::string_view netns, const model::Cidr& destination);

/// The name under which an address is known for which the host answers: "10.0.3.5", ":fd42::5".
[[nodiscard]] std::string neighbour_name(const model::IpAddress& address);

/// "deleting route/10.0.0.0/8", for messages.
[[nodiscard]] std::string doing(const diff::Change& change);

}  // namespace ctl::drivers::netlink
