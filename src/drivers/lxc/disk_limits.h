#pragma once

#include <map>
#include <string>

#include "base/result.h"
#include "drivers/lxc/cgroups.h"

// How fast a container may read from and write to disks. The kernel keeps that by block device; a manifest says it by disk.
// Where several disks are on one device, each kind of limit is the average of theirs, as in LXD.

namespace ctl::drivers::lxc {

using DiskLimits = std::map<std::string, std::string>;  ///< see model::Container::disk_limits

/// `unsupported` where there is no such controller, or no block device below one of the paths that are there already;
/// `invalid` for what is not in that form.
[[nodiscard]] Status check_disk_limits(const DiskLimits& limits, const Cgroups& cgroups);

/// Gives the running container these limits and no others.
[[nodiscard]] Status apply_disk_limits(const std::string& name, const Cgroups& cgroups, const DiskLimits& limits);

/// As the kernel has them for those that were `written`, in the same words where they come to that.
[[nodiscard]] DiskLimits observed_disk_limits(const std::string& name, const Cgroups& cgroups, const DiskLimits& written);

}  // namespace ctl::drivers::lxc
