#pragma once

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace ctl {

/// How a child process ended and what it said.
struct ProcessResult {
    int exit_code = 0;  ///< 128 + signal number if a signal ended it
    std::string out;
    std::string err;
};

/// Runs argv[0] (looked up as find_program() does; never through a shell) by posix_spawn, with empty standard input, until
/// it ends. Past the deadline it is killed and the result is a timeout error. A non-zero exit code is not an error here. At
/// most 1 MiB of each stream is kept.
[[nodiscard]] Result<ProcessResult> run_process(const std::vector<std::string>& argv, std::chrono::milliseconds deadline);

/// The absolute path of an installed program: in PATH, or where system programs are, to which a user's PATH often doesn't
/// lead.
[[nodiscard]] std::optional<std::string> find_program(std::string_view name);

}  // namespace ctl
