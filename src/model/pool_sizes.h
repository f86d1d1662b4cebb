#pragma once

#include <cstdint>

namespace ctl::model {

/// What the size of a logical volume is a multiple of: lvm's own default.
inline constexpr std::int64_t lvm_extent = std::int64_t{4} << 20;

/// Bytes rounded up to whole extents.
[[nodiscard]] constexpr std::int64_t whole_extents(std::int64_t bytes) {
    return (bytes + lvm_extent - 1) / lvm_extent * lvm_extent;
}

/// The size of volumes that say none, where a volume is a block device: as LXD has it.
inline constexpr std::int64_t default_block_volume = std::int64_t{10} << 30;

}  // namespace ctl::model
