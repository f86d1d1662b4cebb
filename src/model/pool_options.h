#pragma once

#include <map>
#include <string>

#include "model/resource.h"

// What a storage pool's own keys come to, with the defaults of those it doesn't give.

namespace ctl::model {

/// By key: lvm.vg_name. Empty for the drivers dir and btrfs, which have none that stay.
[[nodiscard]] std::map<std::string, std::string> pool_options(const resource::StoragePool& pool);

/// True for a source that is no path but a name the driver's tools know: a volume group. All of ceph's.
[[nodiscard]] bool has_named_source(const resource::StoragePool& pool);

/// Whether the pool's volumes are block devices, which always have a size.
[[nodiscard]] bool has_block_volumes(const resource::StoragePool& pool);

}  // namespace ctl::model
