#pragma once

#include <algorithm>
#include <chrono>
#include <thread>

namespace ctl::testing {

/// Asks again, at growing intervals of at most 50 ms, until the condition holds (true) or the deadline has passed (false).
template <typename Condition>
[[nodiscard]] bool wait_until(Condition&& condition, std::chrono::milliseconds deadline = std::chrono::seconds{10}) {
    const auto end = std::chrono::steady_clock::now() + deadline;
    for (auto pause = std::chrono::milliseconds{1};; pause = std::min(pause * 2, std::chrono::milliseconds{50})) {
        if (condition()) return true;
        if (std::chrono::steady_clock::now() >= end) return false;
        std::this_thread::sleep_for(pause);
    }
}

}  // namespace ctl::testing
