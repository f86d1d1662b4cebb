#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "drivers/storage/tree_store.h"

// The file or device a store is made on.

namespace ctl::drivers::storage {

enum class SourceKind { missing, file, device, other };

[[nodiscard]] SourceKind kind_of_source(const std::string& source);

/// Bytes of a file; nothing for what is none.
[[nodiscard]] std::optional<std::int64_t> size_of_file(const std::string& source);

/// What a file or device holds, as wipefs names it: ext4, LVM2_member; empty for nothing.
[[nodiscard]] Result<std::string> signature_on(const Commands& commands, const std::string& source);
/// Overwrites all signatures.
[[nodiscard]] Status wipe_signatures(const Commands& commands, const std::string& source);

/// Checks that a store can be made there. `own`: the signature of what an interrupted run has begun to make in a file of
/// ours. Errors: conflict for what holds something else and isn't to be wiped, not_found for a device that isn't there.
[[nodiscard]] Status check_source(const StoreRecord& record, const Commands& commands, std::string_view own);
/// True when the file or device of a store is gone.
[[nodiscard]] bool is_lost(const StoreRecord& record);
[[nodiscard]] Error lost_error(const StoreRecord& record);

/// Checks that a size fits a source. Errors: invalid for a device's or too few bytes; unsupported for a file that would
/// shrink.
[[nodiscard]] Status check_size(const StoreRecord& record, std::optional<std::int64_t> size, std::int64_t least);

/// Makes the file of a store unless it is there.
[[nodiscard]] Status make_file(const StoreRecord& record, const Commands& commands, std::optional<std::int64_t> size);

/// Bytes of an ext4's device: as many as asked for, in whole extents, and enough for the journal.
[[nodiscard]] std::int64_t size_for_ext4(std::int64_t asked);
/// The command that makes one; what isn't in use is not taken from what is below.
[[nodiscard]] std::vector<std::string> mkfs_ext4(const std::string& device);

/// The loop device of a file; empty for none.
[[nodiscard]] Result<std::string> loop_of(const Commands& commands, const std::string& file);
/// The same, made if there is none.
[[nodiscard]] Result<std::string> attach_loop(const Commands& commands, const std::string& file);

}  // namespace ctl::drivers::storage
