#pragma once

#include <memory>

#include "drivers/storage/tree_store.h"

namespace ctl::drivers::storage {

/// Trees as images in an OSD pool of ceph with an ext4 in each, mapped as block devices of this host. What is ours carries
/// ctl.pool among its metadata; one that was deleted while others are clones of it carries ctl.deleted until they are gone.
[[nodiscard]] std::unique_ptr<TreeStore> make_rbd_store(StoreRecord record, Commands commands);

}  // namespace ctl::drivers::storage
