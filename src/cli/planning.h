#pragma once

#include <optional>
#include <string>

#include <CLI/CLI.hpp>

#include "reconcile/reconciler.h"

namespace ctl::cli {

/// What plan, apply, delete and watch can be told about planning.
struct PlanningOptions {
    bool allow_empty = false;
    std::string restart;  ///< "" leaves it to each container

    [[nodiscard]] reconcile::PrepareOptions to_prepare_options() const;
};

void add_planning_options(CLI::App& command, PlanningOptions& options);

}  // namespace ctl::cli
