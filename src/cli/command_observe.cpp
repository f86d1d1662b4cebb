#include <fmt/format.h>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/terminal.h"
#include "model/state_json.h"
#include "reconcile/observe.h"

namespace ctl::cli {

namespace {

ExitCode observe(const GlobalOptions& global) {
    auto session = Session::open(global, false);
    if (!session) return fail(session.error());
    const auto observation = reconcile::observe(session->drivers(), {});
    if (!observation) return fail(observation.error());
    for (const auto& failure : observation->failures) fmt::print(stderr, "warning: {}\n", escaped(failure.str()));
    fmt::print("{}\n", model::state_to_json(observation->state, true));
    return ExitCode::done;
}

}  // namespace

void add_observe_command(Program program) {
    CLI::App* command = program.app.add_subcommand("observe", "Print what the host has, as JSON that plan --host-state reads");
    command->callback([program] { program.exit_code = observe(program.options); });
}

}  // namespace ctl::cli
