#pragma once

#include <string>

#include "base/result.h"

namespace ctl::drivers::storage {

/// What is kept outside a pool on a disk, to find it when it isn't mounted.
struct DiskRecord {
    std::string mark;    ///< see make_mark; empty when forgotten
    std::string driver;  ///< btrfs
    std::string source;
    std::string uuid;           ///< of the file system; chosen before it is made
    std::string mount_options;  ///< it was mounted with
    bool wiped = false;         ///< what was on the source was to be overwritten
    bool made = false;          ///< the loop file was not there before
    bool ready = false;         ///< the file system is made and carries the pool's mark
};

/// STATE_DIR/disks/NAME.pool
[[nodiscard]] std::string disk_record_path(const std::string& state_dir, const std::string& name);
/// Errors: not_found, invalid.
[[nodiscard]] Result<DiskRecord> read_disk_record(const std::string& state_dir, const std::string& name);
[[nodiscard]] Status write_disk_record(const std::string& state_dir, const std::string& name, const DiskRecord& record);

}  // namespace ctl::drivers::storage
