#pragma once

#include <string>

#include "drivers/proxy/forward.h"

namespace ctl::drivers::proxy {

/// While it lives, this thread makes sockets in the container's network.
class InContainer {
public:
    InContainer(const Inside& inside, bool wanted);
    ~InContainer();
    InContainer(const InContainer&) = delete;
    InContainer& operator=(const InContainer&) = delete;
    [[nodiscard]] bool succeeded() const { return succeeded_; }

private:
    int host_ = -1;
    bool succeeded_ = true;
};

/// A socket that listens on the end, non-blocking; -1 with errno set.
[[nodiscard]] int open_listener(const End& end, const Settings& settings);
/// A socket that is being connected to the end, non-blocking; -1 with errno set.
[[nodiscard]] int open_connection(const End& end, const Settings& settings);

}  // namespace ctl::drivers::proxy
