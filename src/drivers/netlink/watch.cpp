#include "drivers/netlink/watch.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <vector>

#include "drivers/netlink/snapshot.h"

namespace ctl::drivers::netlink {

namespace {

// A burst of 1,000 veths overran 1 MB and was heard in full with 8.
constexpr int receive_buffer_bytes = 8 << 20;
constexpr std::size_t datagram_bytes = std::size_t{64} << 10;
constexpr std::array groups{RTNLGRP_LINK,       RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR,
                            RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE,  RTNLGRP_TC};

/// The number of the namespace that a message comes from; nothing for our own.
std::optional<int> namespace_of(msghdr& message) {
    for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr; part = CMSG_NXTHDR(&message, part)) {
        if (part->cmsg_level != SOL_NETLINK || part->cmsg_type != NETLINK_LISTEN_ALL_NSID) continue;
        int number = 0;
        std::memcpy(&number, CMSG_DATA(part), sizeof number);
        return number;
    }
    return std::nullopt;
}

bool has_relevant(const std::byte* data, std::size_t size) {
    const auto* message = reinterpret_cast<const nlmsghdr*>(data);
    auto left = static_cast<unsigned>(size);
    for (; NLMSG_OK(message, left); message = NLMSG_NEXT(message, left))
        if (is_relevant(message)) return true;
    return false;
}

}  // namespace

Result<Watch> Watch::open() {
    Fd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE));
    if (!fd) return system_error(errno, "opening a netlink socket");
    if (::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, &receive_buffer_bytes, sizeof receive_buffer_bytes) != 0)
        (void)::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, &receive_buffer_bytes, sizeof receive_buffer_bytes);
    const int on = 1;
    // Without the privilege for it only the host is heard.
    (void)::setsockopt(fd.get(), SOL_NETLINK, NETLINK_LISTEN_ALL_NSID, &on, sizeof on);
    sockaddr_nl address{};
    address.nl_family = AF_NETLINK;
    if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
        return system_error(errno, "binding a netlink socket");
    for (const int group : groups)
        if (::setsockopt(fd.get(), SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) != 0)
            return system_error(errno, "subscribing to the kernel's network messages");
    return Watch(std::move(fd));
}

bool Watch::drain(const std::function<bool(int number)>& is_known) {
    thread_local std::vector<std::byte> buffer(datagram_bytes);
    bool changed = false;
    while (true) {
        alignas(cmsghdr) std::array<char, 256> control{};
        iovec piece{buffer.data(), buffer.size()};
        msghdr message{};
        message.msg_iov = &piece;
        message.msg_iovlen = 1;
        message.msg_control = control.data();
        message.msg_controllen = control.size();
        const ssize_t size = ::recvmsg(fd_.get(), &message, MSG_DONTWAIT);
        if (size < 0 && errno == EINTR) continue;
        if (size < 0 && errno == ENOBUFS) {
            changed = true;
            continue;
        }
        if (size < 0) return changed;
        if (changed) continue;
        const auto number = namespace_of(message);
        const bool heard = !number || is_known(*number);
        changed =
            heard && ((message.msg_flags & MSG_TRUNC) != 0 || has_relevant(buffer.data(), static_cast<std::size_t>(size)));
    }
}

}  // namespace ctl::drivers::netlink
