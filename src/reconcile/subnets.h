#pragma once

#include <string>

#include "model/host_state.h"
#include "model/lower.h"

// What lowering has to know of a host to choose a subnet for a network whose address is `auto`.

namespace ctl::reconcile {

/// Whether `chosen` has a subnet that is not among `known`.
[[nodiscard]] bool has_new_subnet(const model::Allocations& chosen, const model::Allocations& known);

/// The subnets on the host's links and routes, except those of `stack`'s own networks.
[[nodiscard]] std::set<model::Cidr> subnets_of_others(const model::HostState& host, const std::string& stack);

/// Adds to `known` the subnets that networks of `stack` have on the host and the journal has forgotten, as long as they are
/// such as would be chosen: a network that is in use is not given another one.
void remember_subnets(model::Allocations& known, const model::HostState& host, const std::string& stack);

}  // namespace ctl::reconcile
