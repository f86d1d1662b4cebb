#pragma once

#include <chrono>

namespace ctl::reconcile {

/// Time as the reconciler sees it. Implementations are safe to call from several threads at once.
class Clock {
public:
    virtual ~Clock() = default;

    /// For durations and deadlines; never goes back.
    [[nodiscard]] virtual std::chrono::steady_clock::time_point now() = 0;
    /// For the journal and for people.
    [[nodiscard]] virtual std::chrono::system_clock::time_point wall() = 0;
    virtual void sleep_for(std::chrono::milliseconds duration) = 0;
};

/// The machine's own clock.
class SystemClock final : public Clock {
public:
    std::chrono::steady_clock::time_point now() override;
    std::chrono::system_clock::time_point wall() override;
    void sleep_for(std::chrono::milliseconds duration) override;
};

}  // namespace ctl::reconcile
