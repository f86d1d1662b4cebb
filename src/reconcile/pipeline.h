#pragma once

#include "reconcile/reconciler.h"

// The passes that every way to a plan shares; see reconciler.h for who calls them.

namespace ctl::reconcile {

/// Where a plan is to lead, and what is known before the host is asked.
struct Wish {
    std::string stack;
    model::HostState desired;
    std::vector<model::FollowedLink> followed;
    Memory before;
    model::Allocations allocations;
    std::vector<DeclaredResource> resources;
    Diagnostics diagnostics;  ///< of lowering
};

[[nodiscard]] Result<Memory> recall(const Environment& environment, const std::string& stack);

/// Observe, recover, guard, diff, order.
[[nodiscard]] Result<Prepared> plan_towards(const Environment& environment, Wish wish, const PrepareOptions& options,
                                            std::stop_token stop);

}  // namespace ctl::reconcile
