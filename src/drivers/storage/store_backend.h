#pragma once

#include <memory>

#include "drivers/storage/backend.h"
#include "drivers/storage/tree_store.h"

namespace ctl::drivers::storage {

/// The trees of a store as a pool has them: in the place of each stands a symbolic link whose text is the volume's name,
/// which leads nowhere. So trees are renamed and exchanged as directories are. A link is made before its volume and goes
/// after it: whatever is interrupted, no volume is without one.
[[nodiscard]] std::unique_ptr<Backend> make_store_backend(std::unique_ptr<TreeStore> store);

}  // namespace ctl::drivers::storage
