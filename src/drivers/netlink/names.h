#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
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

}  // namespace ctl::drivers::netlink
