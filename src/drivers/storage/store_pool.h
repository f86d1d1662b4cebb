#pragma once

#include <string>

#include "base/result.h"
#include "drivers/storage/backend.h"
#include "drivers/storage/tree_store.h"
#include "model/host_state.h"

// A pool whose trees are in a store: STATE_DIR/pools/NAME is a directory of ours, with
//
//   .ctl-store       what the store is: see StoreRecord
//   .ctl-leftovers/  links of volumes that were deleted while the store was away
//   containers/ …    as every pool has them, with a link in the place of each tree (store_backend.h)

namespace ctl::drivers::storage {

inline constexpr std::string_view store_record_name = ".ctl-store";

[[nodiscard]] std::string to_text(const StoreRecord& record);
/// Errors: invalid.
[[nodiscard]] Result<StoreRecord> parse_store_record(const std::string& text);

/// The record of a store that is to be made as a pool wants it.
[[nodiscard]] StoreRecord wanted_record(const model::Pool& pool, const std::string& name);

/// Checks without writing that open_store() can work.
[[nodiscard]] Status check_store(const std::string& state_dir, const model::Pool& pool, const std::string& name);

/// Makes the store as far as it is missing and lets it be used, in the pool's directory, which is there. Errors: conflict
/// when the source holds something that is not the pool's.
[[nodiscard]] Status open_store(const std::string& state_dir, const model::Pool& pool, const std::string& name);

/// The pool as its record and the tools tell; not mounted where the tools fail, who then tell why in open_store().
[[nodiscard]] Result<model::Pool> observe_store(const std::string& state_dir, const std::string& name);
/// True when all of it was made.
[[nodiscard]] bool is_store_ready(const std::string& state_dir, const std::string& name);

/// Takes the store away with its record; the directory stays.
[[nodiscard]] Status remove_store(const std::string& state_dir, const std::string& name);

/// The backend of a pool that has a record; lives as long as the process. Errors: not_found, invalid.
[[nodiscard]] Result<const Backend*> store_backend(const std::string& state_dir, const std::string& name);

}  // namespace ctl::drivers::storage
