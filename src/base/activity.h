#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>

// How far long work has come, told to whoever shows it: from inside a driver to the command that runs.

namespace ctl {

/// Work that goes through bytes: a download, an archive that is unpacked.
struct Activity {
    std::string what;                    ///< "downloading https://…"
    std::int64_t begin = 0;              ///< bytes that were there before
    std::int64_t done = 0;               ///< bytes, with those that were there before
    std::int64_t total = 0;              ///< bytes; 0: nobody knows
    std::chrono::nanoseconds elapsed{};  ///< since it began
    bool over = false;
};

using ActivityListener = std::function<void(const Activity&)>;

/// As long as it lives, `listener` is told of all activities of this process, one call at a time, from any thread. There is
/// one at a time: the newest.
class ActivityWatch {
public:
    explicit ActivityWatch(ActivityListener listener);
    ~ActivityWatch();
    ActivityWatch(const ActivityWatch&) = delete;
    ActivityWatch& operator=(const ActivityWatch&) = delete;
};

/// One activity: told when it begins, at most ten times a second while it goes on, and when it ends.
class ActivityTeller {
public:
    ActivityTeller(std::string what, std::int64_t begin, std::int64_t total);
    ~ActivityTeller();
    ActivityTeller(const ActivityTeller&) = delete;
    ActivityTeller& operator=(const ActivityTeller&) = delete;

    void set_total(std::int64_t total) { activity_.total = total; }
    void advance_to(std::int64_t done);
    void advance(std::int64_t bytes) { advance_to(activity_.done + bytes); }

private:
    void tell();

    Activity activity_;
    std::chrono::steady_clock::time_point began_;
    std::chrono::steady_clock::time_point told_;
};

}  // namespace ctl
