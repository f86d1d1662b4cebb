#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace ctl::cli {

struct SandboxOptions {
    /// A directory that becomes /var/lib/ctl inside and stays afterwards; without it the state is thrown away.
    std::optional<std::string> keep_state;
    /// With an ovsdb-server and an ovs-vswitchd of its own, at the usual place.
    bool open_vswitch = false;
};

/// Runs argv (argv[0] looked up in PATH) in a throwaway host: mount, network, pid, ipc, uts and cgroup namespaces of its
/// own; fresh /proc, /sys, /run; its own cgroups; scratch directories for /var/lib/ctl, /var/lib/lxc and /var/lib/misc. When
/// the command ends, so does all it started, and cgroups and scratch are removed. The value is the command's exit code, or
/// 128 + the signal that ended it. SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2 and SIGWINCH sent to the caller reach
/// the command. What sandboxes whose ctl was killed left behind is removed first. Forks: to be called while the process has
/// one thread. Errors: permission (not root), unsupported, not_found (no such command), io (also when something could not be
/// removed).
[[nodiscard]] Result<int> run_in_sandbox(const SandboxOptions& options, const std::vector<std::string>& argv);

/// Why run_in_sandbox can't work here, for a person; nothing when it can. Tries the namespaces in a child process.
[[nodiscard]] std::optional<std::string> why_sandbox_is_impossible();

}  // namespace ctl::cli
