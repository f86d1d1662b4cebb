#pragma once

#include <chrono>
#include <string>

namespace ctl::reconcile {

/// Growing pauses between tries of one and the same work, told apart by a signature: `first`, then three times as long each
/// time, up to `last`. Other work is not held up. Not thread-safe.
class Backoff {
public:
    using Time = std::chrono::steady_clock::time_point;

    struct Limits {
        std::chrono::milliseconds first;
        std::chrono::milliseconds last;
        unsigned free_tries = 0;          ///< tries before the first pause
        std::chrono::milliseconds quiet;  ///< after that long without a try the count begins anew
    };

    explicit Backoff(const Limits& limits) : limits_(limits) {}

    /// Counts a try and sets the pause after it.
    void tried(const std::string& signature, Time now);
    void reset() { tries_ = 0; }
    /// The first moment at which this work may be tried; in the past if it may now.
    [[nodiscard]] Time earliest(const std::string& signature) const;

private:
    [[nodiscard]] std::chrono::milliseconds pause() const;

    Limits limits_;
    std::string signature_;
    unsigned tries_ = 0;
    Time last_try_;
};

}  // namespace ctl::reconcile
