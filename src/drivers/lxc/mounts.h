#pragma once

#include <sys/types.h>

#include <map>
#include <string>

#include "base/result.h"
#include "model/object.h"

namespace ctl::drivers::lxc {

using Mounts = std::map<std::string, std::string>;  ///< see model::Container::mounts

/// The error of the first mount that can't be made: ids are to be shifted that its file system, or the kernel, can't shift.
[[nodiscard]] Status check_mounts(const std::string& helper, const model::Container& container);

/// Those of `expected` that the container of process `init` really has now, as they are: one that somebody unmounted is left
/// out, one that is writable against its word lacks "ro", and so with other flags. Optional ones whose source is missing
/// count as there. Propagation is as it was said: the container's init sets that of all its mounts as it likes.
[[nodiscard]] Mounts present_mounts(pid_t init, const Mounts& expected);

/// `invalid` when a symbolic link is on the way to the place of a mount or device of a container that does not run yet:
/// liblxc would follow it, out of the container's files too, when it makes what is missing of that way.
[[nodiscard]] Status check_mount_points(const model::Container& container);

/// Takes out of the running container what `from` has and `to` has not, and puts in what is new. Changed ones go and come.
[[nodiscard]] Status replug_mounts(const std::string& helper, pid_t init, const Mounts& from, const Mounts& to);

}  // namespace ctl::drivers::lxc
