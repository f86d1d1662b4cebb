#include <fmt/format.h>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/table.h"
#include "cli/terminal.h"

namespace ctl::cli {

namespace {

ExitCode drivers(const GlobalOptions& global) {
    auto session = Session::open(global);
    if (!session) return fail(session.error());
    Table table({"DRIVER", "KINDS", "STATE", "DESCRIPTION"});
    for (const auto& driver : session->drivers().all()) {
        std::vector<std::string> kinds;
        for (const auto kind : driver->info().kinds) kinds.emplace_back(model::to_string(kind));
        table.add({driver->info().name, joined(kinds, ", "), "ready", driver->info().description});
    }
    for (const auto& missing : session->drivers().unavailable())
        table.add({missing.name, "-", "unavailable", escaped(missing.error.str())});
    fmt::print("{}", table.str());
    return ExitCode::done;
}

}  // namespace

void add_drivers_command(Program program) {
    CLI::App* command = program.app.add_subcommand("drivers", "List the drivers and what keeps any of them from working");
    command->callback([program] { program.exit_code = drivers(program.options); });
}

}  // namespace ctl::cli
