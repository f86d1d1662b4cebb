#include "drivers/lxc/monitor.h"

#include <lxc/lxccontainer.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <vector>

#include <fmt/format.h>

#include "base/file.h"
#include "base/text.h"
#include "drivers/api/container_files.h"

namespace ctl::drivers::lxc {

namespace {

using namespace std::chrono_literals;

constexpr std::chrono::milliseconds glance = 5ms;   ///< between looks at a container that shall stop
constexpr std::chrono::milliseconds repeat = 1s;    ///< between two requests to shut down
constexpr std::chrono::milliseconds deafness = 1s;  ///< after which an init that takes no such request is killed
constexpr std::chrono::milliseconds settling = 20ms;
constexpr std::chrono::seconds killed_deadline = 20s;

struct PutContainer {
    void operator()(lxc_container* container) const { ::lxc_container_put(container); }
};
using ContainerPtr = std::unique_ptr<lxc_container, PutContainer>;

ContainerPtr open_container(const std::string& name, const std::string& lxcpath) {
    return ContainerPtr(::lxc_container_new(name.c_str(), lxcpath.c_str()));
}

/// To the container's process 1; by a descriptor, so that no other process can have got its number meanwhile.
void send_signal(const ContainerPtr& container, int signal) {
    const Fd init(container->init_pidfd(container.get()));
    if (init) ::syscall(SYS_pidfd_send_signal, init.get(), signal, nullptr, 0);
}

/// Process 1 of a namespace only ever gets signals that it handles, or blocks to read them from a descriptor.
bool takes_signal(pid_t process, int signal) {
    const auto status = read_file(fmt::format("/proc/{}/status", process));
    if (!status) return false;
    const auto bit = std::uint64_t{1} << (signal - 1);
    for (const std::string_view field : {"SigCgt:\t", "SigBlk:\t"}) {
        const std::size_t at = status->find(field);
        if (at == std::string::npos) continue;
        if ((std::strtoull(status->c_str() + at + field.size(), nullptr, 16) & bit) != 0) return true;
    }
    // While it waits in sigtimedwait, as busybox does, the signals it waits for do not show as blocked.
    const auto call = read_file(fmt::format("/proc/{}/syscall", process));
    return !call || call->starts_with(fmt::format("{} ", SYS_rt_sigtimedwait));
}

bool wait_hangup(const Fd& connection, std::chrono::milliseconds deadline) {
    const auto end = std::chrono::steady_clock::now() + deadline;
    while (true) {
        const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
        pollfd fd{connection.get(), POLLIN, 0};
        const int ready = ::poll(&fd, 1, static_cast<int>(std::max<std::int64_t>(left.count(), 0)));
        if (ready > 0) return true;
        if (ready == 0) return false;
        if (errno != EINTR) return false;
    }
}

}  // namespace

std::string Monitors::address(const std::string& name) const { return monitor_address(lxcpath_, name); }

std::set<std::string> Monitors::running(const std::set<std::string>& names) const {
    const auto table = read_file("/proc/net/unix");
    if (!table) return {};
    const auto listening = listening_monitors(*table);
    std::set<std::string> found;
    for (const auto& name : names)
        if (listening.contains(address(name))) found.insert(name);
    return found;
}

Fd Monitors::connect(const std::string& name) const {
    const std::string path = address(name);
    sockaddr_un socket_address{};
    socket_address.sun_family = AF_UNIX;
    std::memcpy(socket_address.sun_path + 1, path.data(), path.size());
    const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + path.size());
    Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!fd || ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&socket_address), size) != 0) return {};
    return fd;
}

pid_t Monitors::init_pid(const std::string& name) const {
    const auto container = open_container(name, lxcpath_);
    return container ? container->init_pid(container.get()) : -1;
}

void Monitors::tell_frozen(const std::string& name, bool frozen) const {
    const auto container = open_container(name, lxcpath_);
    if (!container) return;
    if (frozen) container->freeze(container.get());
    else container->unfreeze(container.get());
}

bool Monitors::wait_running(const std::string& name, std::chrono::seconds deadline) const {
    const auto container = open_container(name, lxcpath_);
    return container && container->wait(container.get(), "RUNNING|FROZEN", static_cast<int>(deadline.count()));
}

void Monitors::settle(const std::string& name) const {
    // A connection to a socket that is being closed hangs up at once; one to a container started anew does not.
    const Fd again = connect(name);
    if (again) wait_hangup(again, settling);
}

Status Monitors::stop(const std::string& name, int signal, std::chrono::milliseconds patience,
                      const std::function<bool(pid_t init)>& is_over) const {
    using Clock = std::chrono::steady_clock;
    const Fd connection = connect(name);
    if (!connection) return ok();
    const auto container = open_container(name, lxcpath_);
    if (!container) return Error(ErrorCode::io, fmt::format("liblxc can't open container {}", ctl::quoted(name)));

    const auto begin = Clock::now();
    std::optional<Clock::time_point> asked;
    while (Clock::now() - begin < patience) {
        const pid_t init = container->init_pid(container.get());
        if (asked && is_over(init)) break;
        // One that has just started may not take the signal yet; one that never will is not worth the whole patience.
        if (takes_signal(init, signal)) {
            if (!asked || Clock::now() - *asked > repeat) {
                send_signal(container, signal);
                asked = Clock::now();
            }
        } else if (!asked && Clock::now() - begin > deafness) {
            break;
        }
        if (wait_hangup(connection, glance)) {
            settle(name);
            return ok();
        }
    }
    return kill(name);
}

Status Monitors::kill(const std::string& name) const {
    const Fd connection = connect(name);
    if (!connection) return ok();
    const auto container = open_container(name, lxcpath_);
    if (!container) return Error(ErrorCode::io, fmt::format("liblxc can't open container {}", ctl::quoted(name)));
    send_signal(container, SIGKILL);
    if (wait_hangup(connection, killed_deadline)) {
        settle(name);
        return ok();
    }
    return Error(ErrorCode::timeout, fmt::format("container {} did not stop within {} s of being killed", ctl::quoted(name),
                                                 killed_deadline.count()))
        .hint("look for processes in uninterruptible sleep: ps -eo pid,stat,comm");
}

}  // namespace ctl::drivers::lxc
