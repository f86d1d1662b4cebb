#pragma once

#include <memory>
#include <string>

#include "drivers/storage/backend.h"
#include "drivers/storage/tree_store.h"

namespace ctl::drivers::storage {

inline constexpr const char* leftovers_name = ".ctl-leftovers";

/// The trees of a store as a pool has them: in the place of each stands a symbolic link whose text is the volume's name,
/// which leads nowhere. So trees are renamed and exchanged as directories are. A link is made before its volume and goes
/// after it: whatever is interrupted, no volume is without one. While the store is away, links of what is deleted are moved
/// to the folder `leftovers_name` in the pool's directory, under the volume's name, until the store is back.
[[nodiscard]] std::unique_ptr<Backend> make_store_backend(std::unique_ptr<TreeStore> store, std::string directory);

}  // namespace ctl::drivers::storage
