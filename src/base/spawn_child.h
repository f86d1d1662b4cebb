#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/result.h"

namespace ctl {

/// A child's standard streams; `input` -1 is /dev/null.
struct ChildStreams {
    int input = -1;
    int output = -1;
    int error = -1;
};

/// Starts argv[0], looked up as find_program() does, with these streams and nothing else of ours: no blocked signal, no
/// ignored SIGPIPE, and in a process group of its own, so that a Ctrl-C on the terminal is for us alone. The caller waits
/// for it.
[[nodiscard]] Result<pid_t> spawn_child(const std::vector<std::string>& argv, const ChildStreams& streams);

}  // namespace ctl
