#pragma once

#include <signal.h>

#include <string>
#include <vector>

#include "cli/sandbox/cgroups.h"
#include "cli/sandbox/sandbox.h"
#include "cli/sandbox/scratch.h"

namespace ctl::cli {

/// What the first process of a sandbox is given.
struct Inside {
    const SandboxOptions& options;
    const Scratch& scratch;
    const std::vector<SandboxCgroup>& cgroups;
    const std::vector<std::string>& argv;
    sigset_t signals_before;  ///< the caller's mask, given back to the command
    int outer_alive;          ///< read end of a pipe whose other end only the outer process has
    int failure;              ///< where a failure is written as "CODE\nMESSAGE"; closed when the command runs
};

/// The signals that the outer process and the first one inside pass on, and SIGCHLD.
[[nodiscard]] sigset_t sandbox_signals();

/// The life of process 1, called in a new pid namespace with sandbox_signals() blocked: makes the other namespaces and
/// mounts, starts the command, passes signals on, reaps, and ends with the command's exit code, killing what is left.
[[noreturn]] void live_inside(Inside inside);

/// The namespaces that live_inside makes. errno is set on failure.
[[nodiscard]] bool unshare_all();

}  // namespace ctl::cli
