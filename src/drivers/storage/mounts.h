#pragma once

#include <optional>
#include <string>

#include "base/fd.h"
#include "base/result.h"

namespace ctl::drivers::storage {

/// A mount of the directory that is attached nowhere yet: what lies mounted below stays out; ids are seen through the user
/// namespace, if one is given. Errors: unsupported when the kernel or file system has no idmapped mounts,
/// or this one is not ours to map: that of a container that we run in.
[[nodiscard]] Result<Fd> clone_mount(int directory, std::optional<int> user_namespace);

/// Lets the ids of a mount that is attached nowhere be seen through a user namespace. Errors: as clone_mount().
[[nodiscard]] Status map_ids(const Fd& mount, int user_namespace);

/// Directories that make up an overlay.
struct OverlayParts {
    int lower;
    int upper;
    int work;
};

/// An overlay that is attached nowhere yet. Errors: unsupported when the kernel has no overlay or the file system can't
/// hold one.
[[nodiscard]] Result<Fd> make_overlay(const OverlayParts& parts);

/// Puts a detached mount on a directory.
[[nodiscard]] Status attach(const Fd& mount, const std::string& path);

/// True when a mount is attached right here; with `overlay` only if it is an overlay.
[[nodiscard]] bool is_mounted(int parent, const std::string& name, bool overlay);

/// The device whose file system is mounted at a path, as the mount table names it. Errors: not_found.
[[nodiscard]] Result<std::string> mounted_device(const std::string& path);

enum class WhenBusy { fail, detach };

/// Unmounts all that is mounted on a directory or below it, the deepest first. A busy one is a `conflict` error, or is
/// detached: gone from here at once, from its users when they end.
[[nodiscard]] Status unmount_all(const std::string& path, WhenBusy when_busy);

}  // namespace ctl::drivers::storage
