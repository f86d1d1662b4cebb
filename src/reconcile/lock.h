#pragma once

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>

#include "base/fd.h"
#include "base/result.h"
#include "reconcile/clock.h"

namespace ctl::reconcile {

/// The right to write to a state directory, held until it goes out of scope or the process ends, however it ends.
class Lock {
public:
    /// Takes STATE_DIR/lock, waiting up to `wait` for another holder. Error `locked` names the holder's pid, user, command
    /// and since when. The file itself stays.
    [[nodiscard]] static Result<Lock> acquire(const std::filesystem::path& state_dir, const std::string& command,
                                              Clock& clock, std::chrono::milliseconds wait = std::chrono::milliseconds(0));

    /// Who holds it at this moment, in the words of acquire()'s error. Nothing when nobody does, or when it can't be read.
    [[nodiscard]] static std::optional<std::string> holder(const std::filesystem::path& state_dir);

    Lock(Lock&&) noexcept = default;
    Lock& operator=(Lock&&) = delete;
    ~Lock();

private:
    explicit Lock(Fd fd) : fd_(std::move(fd)) {}
    Fd fd_;  // an open-file-description lock goes with its descriptor
};

}  // namespace ctl::reconcile
