#pragma once

#include <CLI/CLI.hpp>

#include "cli/exit_code.h"
#include "cli/session.h"

// One file per command; each adds its subcommand to the program and, when it is chosen, leaves its exit code.

namespace ctl::cli {

struct Program {
    CLI::App& app;
    GlobalOptions& options;
    ExitCode& exit_code;
};

void add_validate_command(Program program);
void add_plan_command(Program program);
void add_apply_command(Program program);
void add_delete_command(Program program);
void add_get_command(Program program);
void add_info_command(Program program);
void add_describe_command(Program program);
void add_graph_command(Program program);
void add_watch_command(Program program);
void add_observe_command(Program program);
void add_sandbox_command(Program program);
void add_drivers_command(Program program);
void add_sql_command(Program program);
void add_state_command(Program program);

}  // namespace ctl::cli
