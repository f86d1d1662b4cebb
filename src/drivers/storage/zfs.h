#pragma once

#include <memory>

#include "drivers/storage/tree_store.h"

namespace ctl::drivers::storage {

/// Trees as datasets, each a clone of a snapshot where it is a copy. What is ours carries the property ctl:volume; one that
/// was deleted while others are clones of it carries ctl:deleted until they are gone.
[[nodiscard]] std::unique_ptr<TreeStore> make_zfs_store(StoreRecord record, Commands commands);

}  // namespace ctl::drivers::storage
