#pragma once

#include "cli/commands.h"

// What people do to containers that were applied.

namespace ctl::cli {

void add_exec_command(Program program);
void add_console_command(Program program);
void add_logs_command(Program program);
/// start, stop, restart, freeze and unfreeze.
void add_hand_commands(Program program);
void add_cp_command(Program program);
void add_top_command(Program program);

}  // namespace ctl::cli
