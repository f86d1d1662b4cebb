#pragma once

#include "base/diagnostics.h"
#include "base/error.h"
#include "reconcile/run_report.h"

namespace ctl::cli {

/// What every command ends with; documented in docs/reference/commands.md.
enum class ExitCode : int {
    done = 0,
    failed = 1,           ///< anything without a number of its own
    changes_pending = 2,  ///< only with --detailed-exitcode
    invalid = 3,          ///< the manifest
    stale = 4,            ///< the host changed since the plan was made
    rolled_back = 5,      ///< failed, and all of it undone
    partial = 6,          ///< failed, and some of it done
    diverging = 7,        ///< applied, but the host doesn't show it
    locked = 8,
    refused = 9,  ///< by a policy, or for want of a confirmation
    missing_driver = 10,
    usage = 64,         ///< sysexits(3): EX_USAGE
    interrupted = 130,  ///< 128 + SIGINT
};

[[nodiscard]] ExitCode exit_code_for(const Error& error);
/// For diagnostics of a plan that can't be applied.
[[nodiscard]] ExitCode exit_code_for(const Diagnostics& diagnostics);
[[nodiscard]] ExitCode exit_code_for(const reconcile::RunReport& report);

}  // namespace ctl::cli
