#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>

#include "base/text.h"

// Where containers have their files and sockets: what the driver of containers shares with those that work beside them,
// among them helper programs that link nothing of ours, for which two functions stand here.

namespace ctl::drivers {

/// May the name become a directory, a host name and a part of a cgroup path?
[[nodiscard]] inline bool is_container_name(std::string_view name) {
    if (name.empty() || name.size() > 63 || name.front() == '.' || name.front() == '-') return false;
    return name.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") ==
           std::string_view::npos;
}

/// The abstract Unix socket of the process that liblxc keeps for a running container, without its leading NUL.
[[nodiscard]] inline std::string monitor_address(const std::string& lxcpath, const std::string& name) {
    const std::string path = lxcpath + "/" + name;
    std::string address = path + "/command";
    // The leading NUL and a closing one of liblxc's take a byte each of the 108 there are.
    if (address.size() + 2 <= 108) return address;
    // liblxc's own short form, of the same hash.
    const std::uint64_t hash = stable_hash(path);
    constexpr std::string_view digits = "0123456789abcdef";
    std::string text;
    for (int shift = 60; shift >= 0; shift -= 4) text += digits[(hash >> shift) & 0xf];
    return "lxc/" + text + "/command";
}

/// The addresses of all such sockets in the text of /proc/net/unix that somebody listens on; views into it.
[[nodiscard]] std::set<std::string_view> listening_monitors(std::string_view table);

/// Names have passed is_container_name().
struct ContainerFiles {
    std::string lxcpath;  ///< STATE_DIR/containers; canonical, one spelling for ever
    std::string run_dir;
    std::string helper_dir;

    [[nodiscard]] std::string directory(const std::string& name) const { return lxcpath + "/" + name; }
    [[nodiscard]] std::string config(const std::string& name) const { return directory(name) + "/config"; }
    [[nodiscard]] std::string runtime() const { return run_dir + "/containers"; }
    /// What the running container was started with, and what was put in or taken out since.
    [[nodiscard]] std::string started(const std::string& name) const { return runtime() + "/" + name + ".conf"; }
    /// liblxc's own.
    [[nodiscard]] std::string log(const std::string& name) const { return runtime() + "/" + name + ".log"; }
    [[nodiscard]] std::string console(const std::string& name) const { return runtime() + "/" + name + ".console"; }
    /// The pinned network namespace.
    [[nodiscard]] std::string network(const std::string& name) const { return run_dir + "/namespaces/" + name + "/net"; }
    /// Runs commands in containers.
    [[nodiscard]] std::string enter_helper() const { return helper_dir + "/ctl-lxc-enter"; }
};

}  // namespace ctl::drivers
