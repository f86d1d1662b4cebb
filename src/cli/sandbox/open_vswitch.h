#pragma once

#include <signal.h>

#include "base/result.h"

namespace ctl::cli {

/// Shell text that starts an ovsdb-server and an ovs-vswitchd with an empty database at the usual place,
/// /run/openvswitch, in the namespaces it runs in. What they say is in start.log there.
extern const char* const open_vswitch_script;

/// Runs it, with this signal mask, in the sandbox that the caller is the first process of; what it starts ends with the
/// sandbox. Errors: missing_driver.
[[nodiscard]] Status start_open_vswitch(const sigset_t& signals);

}  // namespace ctl::cli
