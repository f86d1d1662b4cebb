#include "drivers/nftables/watch.h"

#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <string_view>
#include <vector>

namespace ctl::drivers::nftables {

namespace {

constexpr int receive_buffer_bytes = 4 << 20;
constexpr std::size_t datagram_bytes = std::size_t{64} << 10;

// Whatever is told of, a table, a chain, a rule or a set: its first attribute is the table's name.
static_assert(NFTA_TABLE_NAME == 1 && NFTA_CHAIN_TABLE == 1 && NFTA_RULE_TABLE == 1 && NFTA_SET_TABLE == 1);

bool is_ours(const nlmsghdr* message) {
    if (NFNL_SUBSYS_ID(message->nlmsg_type) != NFNL_SUBSYS_NFTABLES) return false;
    if (NFNL_MSG_TYPE(message->nlmsg_type) == NFT_MSG_NEWGEN) return false;
    const auto* bytes = static_cast<const char*>(NLMSG_DATA(message)) + NLMSG_ALIGN(sizeof(nfgenmsg));
    const auto* end = reinterpret_cast<const char*>(message) + message->nlmsg_len;
    while (bytes + sizeof(nlattr) <= end) {
        const auto* attribute = reinterpret_cast<const nlattr*>(bytes);
        if (attribute->nla_len < sizeof(nlattr) || bytes + attribute->nla_len > end) return true;
        if ((attribute->nla_type & NLA_TYPE_MASK) == NFTA_TABLE_NAME)
            return std::string_view(bytes + sizeof(nlattr), attribute->nla_len - sizeof(nlattr)).starts_with(table_prefix);
        bytes += NLA_ALIGN(attribute->nla_len);
    }
    return true;
}

bool has_ours(const std::byte* data, std::size_t size) {
    const auto* message = reinterpret_cast<const nlmsghdr*>(data);
    auto left = static_cast<unsigned>(size);
    for (; NLMSG_OK(message, left); message = NLMSG_NEXT(message, left))
        if (is_ours(message)) return true;
    return false;
}

}  // namespace

Watch Watch::open() {
    Fd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_NETFILTER));
    if (!fd) return Watch(Fd());
    if (::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, &receive_buffer_bytes, sizeof receive_buffer_bytes) != 0)
        (void)::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, &receive_buffer_bytes, sizeof receive_buffer_bytes);
    const int on = 1;
    // Containers have tables of ours, too. Without the privilege for it only the host is heard.
    (void)::setsockopt(fd.get(), SOL_NETLINK, NETLINK_LISTEN_ALL_NSID, &on, sizeof on);
    sockaddr_nl address{};
    address.nl_family = AF_NETLINK;
    const int group = NFNLGRP_NFTABLES;
    if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
        ::setsockopt(fd.get(), SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) != 0)
        return Watch(Fd());
    return Watch(std::move(fd));
}

bool Watch::drain() {
    std::vector<std::byte> buffer(datagram_bytes);
    bool changed = false;
    while (true) {
        const ssize_t size = ::recv(fd_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT | MSG_TRUNC);
        if (size < 0 && errno == EINTR) continue;
        if (size < 0 && errno == ENOBUFS) {
            changed = true;
            continue;
        }
        if (size < 0) return changed;
        const auto bytes = static_cast<std::size_t>(size);
        changed = changed || bytes > buffer.size() || has_ours(buffer.data(), bytes);
    }
}

}  // namespace ctl::drivers::nftables
