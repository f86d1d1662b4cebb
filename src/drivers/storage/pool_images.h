#pragma once

#include <cstdint>
#include <string>

#include "base/fd.h"
#include "base/result.h"
#include "drivers/storage/backend.h"
#include "drivers/storage/volume.h"

// Where a backend clones trees, a pool keeps a copy of every image that volumes in it were made from:
//
//   POOL/images/FINGERPRINT/   its root filesystem, with the ids it was unpacked with
//
// A clone needs it no more than any other clone does: it can be deleted at any time.

namespace ctl::drivers::storage {

/// Bytes of a tree for that much file content: it comes in whole blocks, and has inodes.
[[nodiscard]] constexpr std::int64_t size_for_content(std::int64_t bytes) {
    return bytes + bytes / 2 + (std::int64_t{128} << 20);
}

/// The pool's copy of an image's root filesystem, made from `image` unless it is there.
[[nodiscard]] Result<Tree> pool_image(const VolumePlace& place, const Backend& backend, const VolumeRecord& record,
                                      int image);

/// Deletes the copies that no volume of the pool was made from and no image has any more.
[[nodiscard]] Status remove_unused_images(const std::string& state_dir, const std::string& pool, const Backend& backend);

/// Deletes all copies.
[[nodiscard]] Status remove_images(const std::string& state_dir, const std::string& pool, const Backend& backend);

}  // namespace ctl::drivers::storage
