#pragma once

#include <string>

namespace ctl::testing {

/// Moves the test program, once, into network and mount namespaces of its own: nothing propagates out, loopback is up, /sys
/// shows the new namespace's links, and run_dir() is an empty tmpfs. All of it goes with the process.
/// "" on success, else why it can't be done here (not root, no namespaces). Call it before any thread is started.
[[nodiscard]] std::string enter_own_namespaces();

/// The private tmpfs.
[[nodiscard]] std::string run_dir();

/// Standard output of a shell command that the test wrote itself; throws when it fails.
std::string sh(const std::string& command);

}  // namespace ctl::testing
