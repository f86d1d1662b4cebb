#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "drivers/netlink/message.h"

namespace ctl::drivers::netlink {

/// What the kernel said to one request: an errno (0: done) and its own explanation, if it gave one.
struct Answer {
    int error = 0;
    std::string explanation;

    [[nodiscard]] bool is_ok() const { return error == 0; }
    /// "DOING: No such device (explanation)"; the code follows the errno, EEXIST is a conflict.
    [[nodiscard]] Error as_error(std::string_view doing) const;
};

/// A route netlink socket, bound for its life to the network namespace in which it was opened.
class Socket {
public:
    using Handler = std::function<void(const nlmsghdr*)>;
    using IndexedHandler = std::function<void(std::size_t request, const nlmsghdr*)>;

    /// In the calling thread's network namespace.
    [[nodiscard]] static Result<Socket> open();

    /// Sends a dump request and hands over each message. When the kernel says that the state changed meanwhile, `restart` is
    /// called and the dump is taken again. A table that doesn't exist (ENOENT) is an empty one.
    [[nodiscard]] Status dump(const Request& request, const std::function<void()>& restart, const Handler& handle);

    /// Sends the requests, many at a time, and collects one answer for each, in their order. Messages that are not
    /// acknowledgements go to `handle`. The Result itself fails only when the socket does.
    [[nodiscard]] Result<std::vector<Answer>> transact(std::span<const Request> requests, const IndexedHandler& handle = {});

    [[nodiscard]] int fd() const { return fd_.get(); }

private:
    explicit Socket(Fd fd) : fd_(std::move(fd)) {}
    [[nodiscard]] Status send(std::span<const Request> requests);
    [[nodiscard]] Result<std::size_t> receive();
    [[nodiscard]] Result<bool> dump_once(const Request& request, const Handler& handle);

    Fd fd_;
    std::uint32_t sequence_ = 1;  // of the next request
};

}  // namespace ctl::drivers::netlink
