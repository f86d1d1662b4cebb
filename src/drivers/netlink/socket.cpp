#include "drivers/netlink/socket.h"

#include <fmt/format.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>

#include <cerrno>
#include <cstring>

namespace ctl::drivers::netlink {

namespace {

// Acknowledgements wait in the receive buffer while the kernel works through one send: this many fit by far.
constexpr std::size_t requests_per_send = 64;
constexpr int receive_buffer_bytes = 2 << 20;
// The kernel's global network lock can be held for seconds while somebody deletes thousands of links.
constexpr int answer_seconds = 60;
constexpr int dump_attempts = 20;

std::vector<std::byte>& receive_buffer() {
    thread_local std::vector<std::byte> buffer(std::size_t{256} << 10);
    return buffer;
}

Answer answer_in(const nlmsghdr* message) {
    nlmsgerr fixed{};
    std::memcpy(&fixed, NLMSG_DATA(message), sizeof fixed);
    Answer answer{-fixed.error, {}};
    if ((message->nlmsg_flags & NLM_F_ACK_TLVS) == 0) return answer;
    std::size_t skip = sizeof fixed;
    if ((message->nlmsg_flags & NLM_F_CAPPED) == 0) skip += NLMSG_ALIGN(fixed.msg.nlmsg_len - sizeof(nlmsghdr));
    answer.explanation = Attributes(message, skip).text(NLMSGERR_ATTR_MSG);
    return answer;
}

/// Calls `handle` with each message of a datagram until it says false.
template <typename Handle>
void for_each_message(std::size_t size, const Handle& handle) {
    const auto* message = reinterpret_cast<const nlmsghdr*>(receive_buffer().data());
    auto left = static_cast<unsigned>(size);
    for (; NLMSG_OK(message, left); message = NLMSG_NEXT(message, left))
        if (!handle(message)) return;
}

}  // namespace

Error Answer::as_error(std::string_view doing) const {
    const Error plain = system_error(error, doing);
    const ErrorCode code = error == EEXIST ? ErrorCode::conflict : plain.code();
    return {code, explanation.empty() ? plain.message() : fmt::format("{} ({})", plain.message(), explanation)};
}

Result<Socket> Socket::open() {
    Fd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
    if (!fd) return system_error(errno, "opening a netlink socket");
    const int on = 1;
    const timeval patience{answer_seconds, 0};
    // These are refinements: an old kernel refuses some of them, and the socket works without.
    (void)::setsockopt(fd.get(), SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof on);
    (void)::setsockopt(fd.get(), SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on);
    (void)::setsockopt(fd.get(), SOL_NETLINK, NETLINK_GET_STRICT_CHK, &on, sizeof on);
    if (::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, &receive_buffer_bytes, sizeof receive_buffer_bytes) != 0)
        (void)::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, &receive_buffer_bytes, sizeof receive_buffer_bytes);
    (void)::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    sockaddr_nl address{};
    address.nl_family = AF_NETLINK;
    if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
        return system_error(errno, "binding a netlink socket");
    return Socket(std::move(fd));
}

Status Socket::send(std::span<const Request> requests) {
    std::vector<iovec> pieces;
    for (const Request& request : requests) {
        nlmsghdr* header = request.header();
        header->nlmsg_seq = sequence_++;
        pieces.push_back({header, NLMSG_ALIGN(header->nlmsg_len)});
    }
    sockaddr_nl kernel{};
    kernel.nl_family = AF_NETLINK;
    msghdr message{};
    message.msg_name = &kernel;
    message.msg_namelen = sizeof kernel;
    message.msg_iov = pieces.data();
    message.msg_iovlen = pieces.size();
    while (::sendmsg(fd_.get(), &message, 0) < 0)
        if (errno != EINTR) return system_error(errno, "asking the kernel by netlink");
    return ok();
}

Result<std::size_t> Socket::receive() {
    auto& buffer = receive_buffer();
    while (true) {
        const ssize_t size = ::recv(fd_.get(), buffer.data(), buffer.size(), MSG_TRUNC);
        if (size < 0 && errno == EINTR) continue;
        if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return Error(ErrorCode::timeout,
                         fmt::format("the kernel did not answer a netlink request within {} s", answer_seconds));
        if (size < 0) return system_error(errno, "reading the kernel's netlink answer");
        if (static_cast<std::size_t>(size) > buffer.size())
            return Error(ErrorCode::io, fmt::format("a netlink message of {} bytes is longer than expected", size));
        return static_cast<std::size_t>(size);
    }
}

Result<bool> Socket::dump_once(const Request& request, const Handler& handle) {
    CTL_TRY(send({&request, 1}));
    const std::uint32_t expected = sequence_ - 1;
    bool interrupted = false;
    while (true) {
        CTL_ASSIGN(const std::size_t size, receive());
        bool done = false;
        int error = 0;
        for_each_message(size, [&](const nlmsghdr* message) {
            if (message->nlmsg_seq != expected) return true;
            if ((message->nlmsg_flags & NLM_F_DUMP_INTR) != 0) interrupted = true;
            if (message->nlmsg_type == NLMSG_DONE || message->nlmsg_type == NLMSG_ERROR) {
                done = true;
                int code = 0;
                if (message->nlmsg_len >= NLMSG_LENGTH(sizeof code)) std::memcpy(&code, NLMSG_DATA(message), sizeof code);
                error = -code;
                return false;
            }
            handle(message);
            return true;
        });
        if (done && error != 0 && error != ENOENT) return system_error(error, "listing by netlink");
        if (done) return !interrupted;
    }
}

Status Socket::dump(const Request& request, const std::function<void()>& restart, const Handler& handle) {
    for (int attempt = 0; attempt < dump_attempts; ++attempt) {
        restart();
        CTL_ASSIGN(const bool consistent, dump_once(request, handle));
        if (consistent) return ok();
    }
    return Error(ErrorCode::io,
                 fmt::format("the kernel's tables kept changing during {} attempts to list them", dump_attempts));
}

Result<std::vector<Answer>> Socket::transact(std::span<const Request> requests, const IndexedHandler& handle) {
    std::vector<Answer> answers(requests.size());
    for (std::size_t begin = 0; begin < requests.size(); begin += requests_per_send) {
        const auto part = requests.subspan(begin, std::min(requests_per_send, requests.size() - begin));
        for (const Request& request : part) request.header()->nlmsg_flags |= NLM_F_ACK;
        const std::uint32_t first = sequence_;
        CTL_TRY(send(part));
        std::size_t open = part.size();
        while (open > 0) {
            CTL_ASSIGN(const std::size_t size, receive());
            for_each_message(size, [&](const nlmsghdr* message) {
                const std::uint32_t offset = message->nlmsg_seq - first;
                if (offset >= part.size()) return true;
                if (message->nlmsg_type == NLMSG_ERROR) {
                    answers[begin + offset] = answer_in(message);
                    --open;
                } else if (handle) {
                    handle(begin + offset, message);
                }
                return true;
            });
        }
    }
    return answers;
}

}  // namespace ctl::drivers::netlink
