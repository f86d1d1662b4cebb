#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <set>
#include <string>

#include "base/fd.h"
#include "base/result.h"

namespace ctl::drivers::lxc {

/// Talks to the monitors of the containers of one lxcpath: one process of liblxc's for each running container. Never forks.
class Monitors {
public:
    /// `lxcpath` is canonical: liblxc takes another spelling of the same path for another container.
    explicit Monitors(std::string lxcpath) : lxcpath_(std::move(lxcpath)) {}

    /// Which of `names` have a monitor, starting and frozen ones included. One read for all of them.
    [[nodiscard]] std::set<std::string> running(const std::set<std::string>& names) const;
    [[nodiscard]] bool is_running(const std::string& name) const { return static_cast<bool>(connect(name)); }

    /// A connection that hangs up when the container has stopped completely; empty if it isn't running.
    [[nodiscard]] Fd connect(const std::string& name) const;
    /// After a hang-up: waits until the dead monitor's socket is gone too, which the kernel closes a moment later.
    void settle(const std::string& name) const;

    /// The container's process 1, as our process namespace numbers it; -1 when there is none.
    [[nodiscard]] pid_t init_pid(const std::string& name) const;

    /// Waits until a container that is starting runs (frozen or not). False if it stopped instead, or at the deadline.
    [[nodiscard]] bool wait_running(const std::string& name, std::chrono::seconds deadline) const;
    /// Has the monitor call a container whose processes are frozen (or thawed) already what it is, for lxc-info and lxc-ls.
    void tell_frozen(const std::string& name, bool frozen) const;

    /// Sends the container's process 1 `signal` and waits `patience` for the container's end, or until `is_over` says that
    /// waiting is of no use any more; then kills it. Done when the monitor has cleaned up; a container that isn't running is
    /// stopped already.
    [[nodiscard]] Status stop(const std::string& name, int signal, std::chrono::milliseconds patience,
                              const std::function<bool(pid_t init)>& is_over) const;
    /// Kills the container's process 1 and waits until the monitor has cleaned up.
    [[nodiscard]] Status kill(const std::string& name) const;

private:
    [[nodiscard]] std::string address(const std::string& name) const;

    std::string lxcpath_;
};

}  // namespace ctl::drivers::lxc
