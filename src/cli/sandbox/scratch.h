#pragma once

#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

namespace ctl::cli {

/// The directory on a real disk that holds a sandbox's state, BASE/ID. BASE is ctl-sandbox below $TMPDIR or /var/tmp.
/// A sandbox lives as long as somebody holds the lock on its file `lock`.
struct Scratch {
    std::string base;
    std::string id;    ///< "4711-x7Kq2b": the pid of its ctl and something random; also the tail of its cgroups' name
    std::string path;  ///< base/id
    Fd lock;
};

[[nodiscard]] std::string cgroup_name(const std::string& id);

/// Makes one, after removing those nobody holds any more, with their cgroups.
[[nodiscard]] Result<Scratch> make_scratch();

/// Writes down which cgroups go with it, so that a later run can remove them.
[[nodiscard]] Status remember_cgroups(const Scratch& scratch, const std::vector<std::string>& directories);

/// Removes the whole directory; never follows a symbolic link and never enters another mount.
[[nodiscard]] Status remove_scratch(const Scratch& scratch);

}  // namespace ctl::cli
