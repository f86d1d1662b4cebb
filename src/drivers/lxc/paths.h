#pragma once

#include <string>
#include <string_view>

#include "drivers/lxc/config_file.h"

namespace ctl::drivers::lxc {

/// Where the files of containers are. Names have passed is_container_name.
struct Paths {
    std::string lxcpath;  ///< canonical, one spelling for ever
    std::string run_dir;
    std::string helper_dir;

    [[nodiscard]] std::string directory(const std::string& name) const { return lxcpath + "/" + name; }
    [[nodiscard]] std::string config(const std::string& name) const { return directory(name) + "/config"; }
    /// A container that is being made; renamed to directory() when it is whole.
    [[nodiscard]] std::string unfinished(const std::string& name) const { return lxcpath + "/.new-" + name; }
    /// What the running container was started with, and what was put in or taken out since.
    [[nodiscard]] std::string started(const std::string& name) const { return runtime() + "/" + name + ".conf"; }
    [[nodiscard]] std::string seccomp(const std::string& name) const { return seccomp_path(place(name)); }
    [[nodiscard]] std::string log(const std::string& name) const { return runtime() + "/" + name + ".log"; }
    [[nodiscard]] std::string console(const std::string& name) const { return runtime() + "/" + name + ".console"; }
    [[nodiscard]] std::string runtime() const { return run_dir + "/containers"; }
    /// liblxc makes one for each container that it opens and never removes it.
    [[nodiscard]] std::string lock(const std::string& name) const { return "/run/lxc/lock" + lxcpath + "/." + name; }
    [[nodiscard]] std::string start_helper() const { return helper_dir + "/ctl-lxc-start"; }
    [[nodiscard]] std::string mount_helper() const { return helper_dir + "/ctl-lxc-mount"; }
    [[nodiscard]] ConfigPlace place(const std::string& name) const { return {name, run_dir, directory(name)}; }
};

/// May the name become a directory, a host name and a part of a cgroup path?
[[nodiscard]] inline bool is_container_name(std::string_view name) {
    if (name.empty() || name.size() > 63 || name.front() == '.' || name.front() == '-') return false;
    return name.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") ==
           std::string_view::npos;
}

}  // namespace ctl::drivers::lxc
