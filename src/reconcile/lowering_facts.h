#pragma once

#include <string>

#include "model/host_state.h"
#include "model/lower.h"

// What lowering has to know of a host where a manifest leaves a choice to it, or depends on an address that the host has.

namespace ctl::reconcile {

/// Whether `chosen` has something that the host has a say in and that is not among `known`: a subnet, a datapath.
[[nodiscard]] bool has_new_choice(const model::Allocations& chosen, const model::Allocations& known);

/// `layout` with what the host has: subnets that are taken by others than `stack`'s own networks, and addresses.
[[nodiscard]] model::HostLayout layout_of(model::HostLayout layout, const model::HostState& host, const std::string& stack);

/// Adds to `known` what is in use on the host and the journal has forgotten, or never knew: the subnets of `stack`'s
/// networks, as long as they are such as would be chosen, and the datapaths of bridges of Open vSwitch. What is in use
/// stays.
void remember_choices(model::Allocations& known, const model::HostState& host, const std::string& stack);

}  // namespace ctl::reconcile
