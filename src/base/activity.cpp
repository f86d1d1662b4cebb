#include "base/activity.h"

#include <mutex>

namespace ctl {

namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr auto least_pause = 100ms;

/// Drivers are modules of their own, and nothing that they are called with leads back to the terminal.
struct Audience {
    std::mutex mutex;
    ActivityListener listener;
};

Audience& audience() {
    static Audience only;
    return only;
}

}  // namespace

ActivityWatch::ActivityWatch(ActivityListener listener) {
    const std::lock_guard hold(audience().mutex);
    audience().listener = std::move(listener);
}

ActivityWatch::~ActivityWatch() {
    const std::lock_guard hold(audience().mutex);
    audience().listener = nullptr;
}

ActivityTeller::ActivityTeller(std::string what, std::int64_t begin, std::int64_t total)
    : activity_{std::move(what), begin, begin, total, {}, false}, began_(Clock::now()) {
    tell();
}

ActivityTeller::~ActivityTeller() {
    activity_.over = true;
    tell();
}

void ActivityTeller::advance_to(std::int64_t done) {
    activity_.done = done;
    if (Clock::now() - told_ >= least_pause) tell();
}

void ActivityTeller::tell() {
    told_ = Clock::now();
    activity_.elapsed = told_ - began_;
    const std::lock_guard hold(audience().mutex);
    if (audience().listener) audience().listener(activity_);
}

}  // namespace ctl
