#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace ctl::cli {

/// One cgroup hierarchy that is mounted on this machine, and the directory that a sandbox has in it.
struct SandboxCgroup {
    std::string mount_point;  ///< /sys/fs/cgroup/cpu,cpuacct
    std::string options;      ///< what mounts it: "cpu,cpuacct", "none,name=systemd"; empty for the unified one
    bool unified = false;
    std::string directory;  ///< the sandbox's own, absolute
};

/// A directory named `name` in every mounted hierarchy: below the caller's own cgroup in those of version 1 (its limits stay
/// in force), at the top of the unified one (only there it can have all controllers). cpuset is made usable.
/// On an error those already made are removed again.
[[nodiscard]] Result<std::vector<SandboxCgroup>> make_cgroups(const std::string& name);

/// Moves the calling process into them.
[[nodiscard]] Status enter_cgroups(const std::vector<SandboxCgroup>& cgroups);

/// To be called inside, when the cgroup namespace is made and the host's cgroup files are still in sight: leaves the top of
/// the unified one, where containers need controllers and therefore no processes may be.
[[nodiscard]] Status settle_cgroups(const std::vector<SandboxCgroup>& cgroups);

/// To be called inside, before the end: what is frozen would outlive every signal, and process 1 with it.
void thaw_all(const std::vector<SandboxCgroup>& cgroups);

/// Removes cgroup directories and all below them, bottom-up, waiting at most a few seconds for their last processes to be
/// gone. What isn't there is fine.
[[nodiscard]] Status remove_cgroups(const std::vector<std::string>& directories);

}  // namespace ctl::cli
