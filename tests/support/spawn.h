#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace ctl::testing {

/// Starts a program that runs beside the test, with empty standard input and its errors thrown away. Its standard output
/// goes to `output`, or with -1 nowhere. -1 if it can't be started.
[[nodiscard]] pid_t spawn_beside(std::vector<std::string> argv, int output = -1);

}  // namespace ctl::testing
