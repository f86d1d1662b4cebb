#include <set>

#include <fmt/format.h>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/terminal.h"
#include "model/state_json.h"
#include "reconcile/observe.h"

namespace ctl::cli {

namespace {

/// All that any stack has applied: some of it (sysctls) can't be listed, only looked for.
Result<std::set<model::ObjectId>> recorded_ids(reconcile::Journal& journal) {
    CTL_ASSIGN(const auto stacks, journal.stacks());
    std::set<model::ObjectId> ids;
    for (const auto& stack : stacks) {
        CTL_ASSIGN(const auto recorded, journal.recorded(stack.name));
        for (const auto& [id, entry] : recorded) ids.insert(id);
    }
    return ids;
}

ExitCode observe(const GlobalOptions& global) {
    auto session = Session::open(global);
    if (!session) return fail(session.error());
    const auto ids = recorded_ids(session->journal());
    if (!ids) return fail(ids.error());
    const auto observation = reconcile::observe(session->drivers(), *ids);
    if (!observation) return fail(observation.error());
    for (const auto& failure : observation->failures) fmt::print(stderr, "warning: {}\n", escaped(failure.str()));
    fmt::print("{}\n", model::state_to_json(observation->state, true));
    return ExitCode::done;
}

}  // namespace

void add_observe_command(Program program) {
    CLI::App* command =
        program.app.add_subcommand("observe", "Print what the host has, as JSON that plan --host-state reads");
    command->callback([program] { program.exit_code = observe(program.options); });
}

}  // namespace ctl::cli
