#pragma once

#include "model/host_state.h"

namespace ctl::reconcile {

/// What an object of the host stands on, as far as its name, its fields and its owner tell: containers on their namespaces,
/// links and volumes, volumes on their pools and images. Enough to delete a stack in the right order when no record says
/// what was needed. Only objects of `state` are named.
[[nodiscard]] std::vector<model::Need> rebuilt_needs(const model::ObjectId& id, const model::Entry& entry,
                                                     const model::HostState& state);

}  // namespace ctl::reconcile
