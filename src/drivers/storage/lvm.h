#pragma once

#include <memory>

#include "drivers/storage/tree_store.h"

namespace ctl::drivers::storage {

/// Trees as logical volumes with an ext4 in each: in a thin pool, where a copy shares what the two have in common, or each
/// with all its blocks. What is ours carries the tag "ctl:pool/NAME".
[[nodiscard]] std::unique_ptr<TreeStore> make_lvm_store(StoreRecord record, Commands commands);

}  // namespace ctl::drivers::storage
