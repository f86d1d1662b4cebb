#pragma once

#include <string>

#include "drivers/image/unpack.h"
#include "storage_world.h"

namespace ctl::testing {

/// Where the root filesystem of an image that is there stands.
[[nodiscard]] std::string rootfs_of(StorageWorld& world, const std::string& id);

/// Refused, with the reason given, and nothing left in the store.
void check_refused(StorageWorld& world, const model::Image& image, const std::string& reason);

/// Unpacks a file, whatever its checksum is.
[[nodiscard]] Result<drivers::image::Unpacked> unpack(const std::string& path, int root,
                                                      const drivers::image::UnpackLimits& limits);

}  // namespace ctl::testing
