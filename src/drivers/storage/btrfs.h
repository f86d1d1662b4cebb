#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"

// What only btrfs can do, asked of the kernel itself.

namespace ctl::drivers::storage {

[[nodiscard]] bool is_btrfs(int fd);
/// True for the top directory of a subvolume.
[[nodiscard]] bool is_subvolume(int parent, const std::string& name);

[[nodiscard]] Status make_subvolume(int parent, const std::string& name);
/// A copy of the subvolume `source` that shares all its blocks. Subvolumes in it are empty directories in the copy.
[[nodiscard]] Status snapshot_subvolume(int source, int parent, const std::string& name, bool read_only);
/// At once, whatever is in it, subvolumes too, and read-only ones among them; nothing there is success.
[[nodiscard]] Status delete_subvolume(int parent, const std::string& name);
[[nodiscard]] Status set_read_only(int subvolume, bool read_only);

/// Bytes that a subvolume may refer to, those shared with others counted in; 0 takes the limit away. The first limit of a
/// file system makes the kernel count what every subvolume has, and waits for that.
[[nodiscard]] Status limit_subvolume(int subvolume, std::int64_t bytes);
/// How much it may refer to; nothing when there is no limit.
[[nodiscard]] Result<std::optional<std::int64_t>> limit_of_subvolume(int subvolume);

/// Forgets what was counted of subvolumes that are gone to their last block, which takes the kernel a while. New kernels do
/// it themselves.
[[nodiscard]] Status forget_unused_usage(int fd);

/// Bytes that the file system takes of its devices.
[[nodiscard]] Result<std::int64_t> size_of_file_system(int fd);
/// Takes all of a device that has grown.
[[nodiscard]] Status grow_file_system(int fd);

}  // namespace ctl::drivers::storage
