#include "cli/planning.h"

namespace ctl::cli {

reconcile::PrepareOptions PlanningOptions::to_prepare_options() const {
    reconcile::PrepareOptions prepare;
    prepare.allow_empty = allow_empty;
    if (!restart.empty()) prepare.on_restart_needed = model::enum_from<model::OnRestartNeeded>(restart);
    return prepare;
}

void add_planning_options(CLI::App& command, PlanningOptions& options) {
    command.add_flag("--allow-empty", options.allow_empty, "An empty stack may delete all that it had");
    command
        .add_option("--restart", options.restart,
                    "What a change that needs a restart does to containers: restart, defer or never")
        ->check(CLI::IsMember({"restart", "defer", "never"}));
}

}  // namespace ctl::cli
