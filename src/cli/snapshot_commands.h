#pragma once

#include "cli/commands.h"

namespace ctl::cli {

void add_snapshot_command(Program program);
void add_restore_command(Program program);
/// list, info, publish and delete.
void add_image_command(Program program);

}  // namespace ctl::cli
