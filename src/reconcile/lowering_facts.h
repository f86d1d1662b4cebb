#pragma once

#include <string>

#include "model/host_state.h"
#include "model/lower.h"

// What lowering has to know of a host where a manifest leaves a choice to it.

namespace ctl::reconcile {

/// Whether `chosen` has something that the host has a say in and that is not among `known`: a subnet, a datapath.
[[nodiscard]] bool has_new_choice(const model::Allocations& chosen, const model::Allocations& known);

/// The subnets on the host's links and routes, except those of `stack`'s own networks.
[[nodiscard]] std::set<model::Cidr> subnets_of_others(const model::HostState& host, const std::string& stack);

/// Adds to `known` what is in use on the host and the journal has forgotten, or never knew: the subnets of `stack`'s
/// networks, as long as they are such as would be chosen, and the datapaths of bridges of Open vSwitch. What is in use
/// stays.
void remember_choices(model::Allocations& known, const model::HostState& host, const std::string& stack);

}  // namespace ctl::reconcile
