#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "model/host_state.h"

// A pool with a file system of its own, on a loop file or a block device:
//
//   STATE_DIR/disks/NAME.pool   what it is: its mark, its source, the file system's UUID
//   STATE_DIR/disks/NAME.img    the loop file, unless the pool says where it is
//   STATE_DIR/pools/NAME/       where it is mounted

namespace ctl::drivers::storage {

/// True when what stands or is to be made at the source is no directory.
[[nodiscard]] bool is_disk_source(const std::string& source);
/// True when the pool was begun as one on a disk.
[[nodiscard]] bool has_disk(const std::string& state_dir, const std::string& name);
/// Bytes of a file in a directory for a pool that says none.
[[nodiscard]] std::int64_t default_file_size(const std::string& directory);
/// Names of all pools on disks, mounted or not; sorted.
[[nodiscard]] Result<std::vector<std::string>> disk_names(const std::string& state_dir);

/// The pool as its record and the host tell.
[[nodiscard]] Result<model::Entry> observe_disk(const std::string& state_dir, const std::string& name);

/// Checks without writing that open_disk() can work.
[[nodiscard]] Status check_disk(const std::string& state_dir, const model::Entry& wanted, const std::string& name);

/// Makes the file, the file system and the mount as far as they are missing, grows the file and mounts with other options.
/// Errors: conflict when the source holds something that is not the pool's; not_found when what held it is gone.
[[nodiscard]] Status open_disk(const std::string& state_dir, const model::Entry& wanted, const std::string& name);
/// The pool's mark is in it: from now on it is the source that has to be there.
[[nodiscard]] Status settle_disk(const std::string& state_dir, const std::string& name);
/// Mounts a pool that was made and isn't mounted, if what holds it is there: to see what is in it before it is deleted.
[[nodiscard]] Status reopen_disk(const std::string& state_dir, const std::string& name);
/// True when there is nothing to lose: the pool was never made whole, or what held it is gone.
[[nodiscard]] bool is_disk_lost(const std::string& state_dir, const std::string& name);
/// Writes another owner into the record; nobody when `owner` is null.
[[nodiscard]] Status mark_disk(const std::string& state_dir, const std::string& name, const model::ResourceRef* owner);
/// Unmounts, and deletes the loop file if it was made here, else the file system's signature. Errors: conflict when it is
/// in use.
[[nodiscard]] Status remove_disk(const std::string& state_dir, const std::string& name);

}  // namespace ctl::drivers::storage
