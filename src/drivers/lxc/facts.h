#pragma once

#include <string>
#include <string_view>

#include "drivers/lxc/cgroups.h"
#include "drivers/lxc/config_file.h"

namespace ctl::drivers::lxc {

/// What this host adds to the container's config. The root file system has to be at its place.
[[nodiscard]] ConfigFacts find_facts(const model::Container& container, const Cgroups& cgroups);

/// The profile that liblxc is to use: generated or unconfined; empty where the kernel has no AppArmor. liblxc would take one
/// that a package of the distribution has to have loaded, and not start without it. We let it make one per container where
/// that is possible (lxc.container.conf(5)); elsewhere there is none, as in LXD.
[[nodiscard]] std::string apparmor_profile();

/// Name of the signal that asks the init of this root file system to shut down; empty for liblxc's default. Links are looked
/// up inside the root file system.
[[nodiscard]] std::string halt_signal_of(const std::string& rootfs);

/// Number of the signal that a config's text names as its halt signal; liblxc's default without one.
[[nodiscard]] int halt_signal_in(std::string_view config);

}  // namespace ctl::drivers::lxc
