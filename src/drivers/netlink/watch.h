#pragma once

#include <functional>

#include "base/fd.h"
#include "base/result.h"

namespace ctl::drivers::netlink {

/// Hears of changes of links, addresses and routes, on the host and in every namespace that it has a number for.
class Watch {
public:
    [[nodiscard]] static Result<Watch> open();

    [[nodiscard]] int fd() const { return fd_.get(); }

    /// Reads all that is there. True if something that a snapshot shows may have changed, on the host or in a namespace that
    /// `is_known` says is of interest; also when the kernel had to drop messages.
    [[nodiscard]] bool drain(const std::function<bool(int number)>& is_known);

private:
    explicit Watch(Fd fd) : fd_(std::move(fd)) {}
    Fd fd_;
};

}  // namespace ctl::drivers::netlink
