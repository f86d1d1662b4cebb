#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>

#include "base/diagnostics.h"
#include "model/lowering.h"

// How groups of a container's keys become fields of its object; each is told where every field was written.

namespace ctl::model {

using Places = std::map<std::string, SourceSpan>;

/// security.privileged, security.idmap.* and security.protection.shift: see model::Container::idmap.
[[nodiscard]] std::string lower_idmap(Lowering& lowering, const resource::Container& container, Places& places);

/// limits.* and limits.kernel.*, save for limits.cpu as a count. `host_memory`: see HostLayout::memory.
void lower_limits(const Config& config, std::int64_t host_memory, Container& object, Places& places,
                  Diagnostics& diagnostics);

/// security.syscalls.*, raw.seccomp, raw.apparmor and security.nesting; what they need of liblxc goes to the end of
/// `object.raw`.
void lower_security(const Config& config, Container& object, Places& places, Diagnostics& diagnostics);

/// linux.kernel_modules and boot.*.
void lower_boot(const Config& config, Container& object, Places& places, Diagnostics& diagnostics);

/// limits.read, limits.write and limits.max of a disk whose files are at `path` on the host.
void lower_disk_limits(const resource::Device& disk, const std::string& path, Container& object, Places& places);

/// The options that `raw.mount.options` gives a disk, each once; validation has told of others.
[[nodiscard]] std::set<std::string, std::less<>> mount_flags(const resource::Device& device);
/// Those that a mount of a directory or file can have.
[[nodiscard]] bool is_mount_flag(std::string_view option);

/// Devices of type unix-char and unix-block.
void lower_devices(const resource::Devices& devices, Container& object, Places& places);

}  // namespace ctl::model
