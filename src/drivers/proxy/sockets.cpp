#include "drivers/proxy/sockets.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fstream>

#include "drivers/api/container_files.h"

namespace ctl::drivers::proxy {

namespace {

constexpr int backlog = 1024;

struct Address {
    sockaddr_storage storage{};
    socklen_t size = 0;
    [[nodiscard]] const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
    [[nodiscard]] int family() const { return storage.ss_family; }
};

Address unix_address(const std::string& path) {
    Address address;
    auto* un = reinterpret_cast<sockaddr_un*>(&address.storage);
    un->sun_family = AF_UNIX;
    const std::size_t size = std::min(path.size(), sizeof un->sun_path - 1);
    std::memcpy(un->sun_path, path.data(), size);
    const bool abstract = path.starts_with('@');
    if (abstract) un->sun_path[0] = '\0';
    address.size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + size + (abstract ? 0 : 1));
    return address;
}

Address inet_address(const End& end) {
    Address address;
    auto* four = reinterpret_cast<sockaddr_in*>(&address.storage);
    auto* six = reinterpret_cast<sockaddr_in6*>(&address.storage);
    if (::inet_pton(AF_INET, end.address.c_str(), &four->sin_addr) == 1) {
        four->sin_family = AF_INET;
        four->sin_port = htons(end.port);
        address.size = sizeof *four;
    } else if (::inet_pton(AF_INET6, end.address.c_str(), &six->sin6_addr) == 1) {
        six->sin6_family = AF_INET6;
        six->sin6_port = htons(end.port);
        address.size = sizeof *six;
    }
    return address;
}

bool is_file(const End& end) { return end.protocol == "unix" && !end.path.starts_with('@'); }

/// A place below the container's root: no link in there leads out of it.
int open_in_root(int root, const std::string& path, std::uint64_t flags) {
    open_how how{};
    how.flags = flags | O_CLOEXEC;
    how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
    return static_cast<int>(::syscall(SYS_openat2, root, path.c_str(), &how, sizeof how));
}

int open_root(const Settings& settings, bool container) {
    if (!container) return ::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    const pid_t init = init_of(settings.inside);
    if (init <= 0) {
        errno = ECONNREFUSED;
        return -1;
    }
    return ::open(("/proc/" + std::to_string(init) + "/root").c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
}

std::string number_path(int fd) { return "/proc/self/fd/" + std::to_string(fd); }

int close_keeping_errno(int fd) {
    const int why = errno;
    if (fd >= 0) ::close(fd);
    errno = why;
    return -1;
}

/// A stale socket of a process that is gone is in nobody's way; any other file is.
bool bind_file(int fd, int directory, const std::string& name) {
    const std::string path = number_path(directory) + "/" + name;
    const Address address = unix_address(path);
    if (::bind(fd, address.get(), address.size) == 0) return true;
    struct stat info {};
    if (errno != EADDRINUSE || ::fstatat(directory, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0 ||
        !S_ISSOCK(info.st_mode)) {
        errno = EADDRINUSE;
        return false;
    }
    const int probe = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const bool answers = probe >= 0 && ::connect(probe, address.get(), address.size) == 0;
    if (probe >= 0) ::close(probe);
    if (answers) {
        errno = EADDRINUSE;
        return false;
    }
    return ::unlinkat(directory, name.c_str(), 0) == 0 && ::bind(fd, address.get(), address.size) == 0;
}

int listen_on_file(const End& end, const Settings& settings) {
    const std::size_t slash = end.path.rfind('/');
    const std::string name = end.path.substr(slash + 1);
    const int root = open_root(settings, settings.in_container);
    const int directory = root >= 0 ? open_in_root(root, end.path.substr(0, slash + 1), O_PATH | O_DIRECTORY) : -1;
    close_keeping_errno(root);
    if (directory < 0) return -1;
    const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    // The file gets the socket's mode. By its name it can't be changed: what has that name may be a link by then.
    const mode_t before = ::umask(0);
    const bool bound = fd >= 0 && ::fchmod(fd, settings.mode) == 0 && bind_file(fd, directory, name) &&
                       ::fchownat(directory, name.c_str(), settings.uid, settings.gid, AT_SYMLINK_NOFOLLOW) == 0 &&
                       ::listen(fd, backlog) == 0;
    ::umask(before);
    close_keeping_errno(directory);
    return bound ? fd : close_keeping_errno(fd);
}

int socket_for(const Address& address, const End& end) {
    const int type = end.protocol == "udp" ? SOCK_DGRAM : SOCK_STREAM;
    return ::socket(address.family(), type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

}  // namespace

InContainer::InContainer(const Inside& inside, bool wanted) {
    if (!wanted) return;
    host_ = ::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    const int container = ::open(inside.network.c_str(), O_RDONLY | O_CLOEXEC);
    succeeded_ = host_ >= 0 && container >= 0 && ::setns(container, CLONE_NEWNET) == 0;
    close_keeping_errno(container);
}

InContainer::~InContainer() {
    if (host_ < 0) return;
    // In another network than it believes to be in it would hand on to the wrong side.
    if (::setns(host_, CLONE_NEWNET) != 0) std::abort();
    close_keeping_errno(host_);
}

pid_t init_of(const Inside& inside) {
    // liblxc's monitor of a running container listens here; the container's first process is its child.
    const Address address = unix_address("@" + monitor_address(inside.lxcpath, inside.container));
    const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ucred peer{};
    socklen_t size = sizeof peer;
    const bool known = fd >= 0 && ::connect(fd, address.get(), address.size) == 0 &&
                       ::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0;
    close_keeping_errno(fd);
    if (!known) return -1;
    const std::string monitor = std::to_string(peer.pid);
    std::ifstream children("/proc/" + monitor + "/task/" + monitor + "/children");
    pid_t first = -1;
    children >> first;
    return first;
}

int open_listener(const End& end, const Settings& settings) {
    if (is_file(end)) return listen_on_file(end, settings);
    const InContainer there(settings.inside, settings.in_container);
    if (!there.succeeded()) return -1;
    const Address address = end.protocol == "unix" ? unix_address(end.path) : inet_address(end);
    const int fd = socket_for(address, end);
    if (fd < 0) return -1;
    const int on = 1;
    ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (address.family() == AF_INET6) ::setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    const bool open = ::bind(fd, address.get(), address.size) == 0 && (end.protocol == "udp" || ::listen(fd, backlog) == 0);
    return open ? fd : close_keeping_errno(fd);
}

int open_connection(const End& end, const Settings& settings) {
    const bool container = !settings.in_container;
    Address address = end.protocol == "unix" ? unix_address(end.path) : inet_address(end);
    int place = -1;
    if (is_file(end)) {
        const int root = open_root(settings, container);
        place = root >= 0 ? open_in_root(root, end.path, O_PATH) : -1;
        close_keeping_errno(root);
        if (place < 0) return -1;
        address = unix_address(number_path(place));
    }
    const InContainer there(settings.inside, container && !is_file(end));
    const int fd = there.succeeded() ? socket_for(address, end) : -1;
    const bool begun = fd >= 0 && (::connect(fd, address.get(), address.size) == 0 || errno == EINPROGRESS);
    close_keeping_errno(place);
    return begun ? fd : close_keeping_errno(fd);
}

}  // namespace ctl::drivers::proxy
