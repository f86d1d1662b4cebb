#pragma once

#include "diff/diff.h"
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

/// Observe and recover: all of a Prepared but its plan. What lowering found may have made it inapplicable already.
[[nodiscard]] Result<Prepared> look_around(const Environment& environment, Wish wish, const PrepareOptions& options,
                                           std::stop_token stop);
/// The same for what is asked for by command: the stack as it was applied last, beside what the host shows.
[[nodiscard]] Result<Prepared> look_as_recorded(const Environment& environment, const std::string& stack,
                                                std::stop_token stop);
/// Makes these changes its plan; their findings forbid it or are to be read beside it.
[[nodiscard]] Status put_in_order(Prepared& prepared, diff::Output output);

/// Observe, recover, guard, diff, order.
[[nodiscard]] Result<Prepared> plan_towards(const Environment& environment, Wish wish, const PrepareOptions& options,
                                            std::stop_token stop);

}  // namespace ctl::reconcile
