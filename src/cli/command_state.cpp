#include <fmt/format.h>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/progress.h"
#include "cli/terminal.h"

namespace ctl::cli {

namespace {

ExitCode rebuild(const GlobalOptions& global) {
    auto session = Session::open_exclusive(global);
    if (!session) return fail(session.error());
    const auto reporter = make_progress({});
    const auto stacks = reconcile::rebuild_from_marks(session->environment(*reporter));
    if (!stacks) return fail(stacks.error());
    for (const auto& stack : *stacks)
        fmt::print("stack {}: {} objects recorded from their marks\n", escaped(stack.stack), stack.objects);
    if (stacks->empty()) fmt::print("nothing on this host carries a mark of ctl's\n");
    return ExitCode::done;
}

}  // namespace

void add_state_command(Program program) {
    CLI::App* command = program.app.add_subcommand("state", "Look after ctl's own records");
    command->require_subcommand(1);
    CLI::App* rebuild_command = command->add_subcommand("rebuild", "Make lost records anew from the marks on the host");
    rebuild_command->callback([program] { program.exit_code = rebuild(program.options); });
}

}  // namespace ctl::cli
