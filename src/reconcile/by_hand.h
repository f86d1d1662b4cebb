#pragma once

#include <chrono>
#include <optional>
#include <set>
#include <string>

#include "reconcile/reconciler.h"

namespace ctl::reconcile {

/// What a person makes of containers, beside the manifest.
struct ByHand {
    std::set<std::string> containers;
    model::ContainerState state = model::ContainerState::running;
    std::optional<std::chrono::seconds> patience{};  ///< until a stop becomes a kill
    bool starts = true;                              ///< what is stopped, too; false: that is an error
    bool stays = true;                               ///< a later apply leaves it so; false: it is on its way somewhere else
};

/// A plan that brings containers of a stack to a state and leaves the rest alone. What a container stands on is brought
/// back before it starts. The record goes on saying what the manifest said. Errors: not_found for a container that the
/// stack has not applied or that is gone, conflict for one that would have to run to be frozen, and those of prepare().
[[nodiscard]] Result<Prepared> prepare_by_hand(const Environment& environment, const std::string& stack, const ByHand& wish,
                                               std::stop_token stop = {});

}  // namespace ctl::reconcile
