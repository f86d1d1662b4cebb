#pragma once

#include "base/fd.h"

namespace ctl::drivers::nftables {

/// Hears of changes to tables that may be ours.
class Watch {
public:
    /// Deaf (fd() is -1) without the privilege or a kernel that has it.
    [[nodiscard]] static Watch open();

    [[nodiscard]] int fd() const { return fd_.get(); }

    /// Reads all that is there. True if a table that may be ours has changed, or the kernel had to drop messages.
    [[nodiscard]] bool drain();

private:
    explicit Watch(Fd fd) : fd_(std::move(fd)) {}
    Fd fd_;
};

/// What the names of all our tables begin with.
inline constexpr const char* table_prefix = "ctl";

}  // namespace ctl::drivers::nftables
