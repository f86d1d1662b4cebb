#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

// For the helper program that hands on connections: the sockets of its two sides and the loop between them. Without the
// rest of ctl: it stays for as long as the proxy is declared, one process each.

namespace ctl::drivers::proxy {

/// One side: an address and a port, or a Unix socket.
struct End {
    std::string protocol;  ///< tcp, udp or unix
    std::string address;
    std::uint16_t port = 0;
    std::string path;  ///< @ for an abstract one
};

/// Where the container is.
struct Inside {
    std::string network;  ///< its pinned network namespace
    std::string lxcpath;
    std::string container;
};

struct Forward {
    End listen;
    End connect;
};

struct Settings {
    Inside inside;
    std::vector<Forward> forwards;
    bool in_container = false;  ///< it listens there and connects on the host; else the other way round
    bool proxy_protocol = false;
    mode_t mode = 0644;  ///< of a listening socket's file
    uid_t uid = 0;
    gid_t gid = 0;
    uid_t run_as_uid = 0;
    gid_t run_as_gid = 0;
};

/// The first process of the container, as this process namespace numbers it; -1 while it doesn't run.
[[nodiscard]] pid_t init_of(const Inside& inside);

/// A socket that listens, in the order of `forwards`; empty with `why` where one can't.
[[nodiscard]] std::vector<int> listen_all(const Settings& settings, std::string& why);

/// Hands on until the process is ended.
void forward_all(const Settings& settings, const std::vector<int>& listeners);

}  // namespace ctl::drivers::proxy
