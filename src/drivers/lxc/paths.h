#pragma once

#include <string>

#include "drivers/api/container_files.h"
#include "drivers/lxc/config_file.h"

namespace ctl::drivers::lxc {

using drivers::is_container_name;

/// What only the driver of containers knows of their files.
struct Paths : ContainerFiles {
    /// The state that a person holds it in; see held.h.
    [[nodiscard]] std::string held(const std::string& name) const { return directory(name) + "/held"; }
    /// A container that is being made; renamed to directory() when it is whole.
    [[nodiscard]] std::string unfinished(const std::string& name) const { return lxcpath + "/.new-" + name; }
    [[nodiscard]] std::string seccomp(const std::string& name) const { return seccomp_path(place(name)); }
    /// liblxc makes one for each container that it opens and never removes it.
    [[nodiscard]] std::string lock(const std::string& name) const { return "/run/lxc/lock" + lxcpath + "/." + name; }
    [[nodiscard]] std::string start_helper() const { return helper_dir + "/ctl-lxc-start"; }
    [[nodiscard]] std::string mount_helper() const { return helper_dir + "/ctl-lxc-mount"; }
    [[nodiscard]] ConfigPlace place(const std::string& name) const { return {name, run_dir, directory(name)}; }
};

}  // namespace ctl::drivers::lxc
