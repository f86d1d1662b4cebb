#pragma once

#include <cstdio>
#include <string>

#include <doctest/doctest.h>

namespace ctl::testing {

/// Says on standard output why the running test case does nothing here; ./test counts these lines as skipped.
inline void say_skipped(const std::string& reason) { std::printf("[skipped] %s\n", reason.c_str()); }

}  // namespace ctl::testing

/// Leaves the test case, counted as skipped, when it can't run here. `reason` says what is missing.
#define CTL_SKIP_IF(condition, reason)         \
    do {                                       \
        if (condition) {                       \
            ctl::testing::say_skipped(reason); \
            return;                            \
        }                                      \
    } while (false)
