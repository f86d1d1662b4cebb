#pragma once

#include <string>

#include "base/fd.h"
#include "base/result.h"
#include "drivers/api/store.h"
#include "drivers/storage/backend.h"
#include "drivers/storage/volume.h"

namespace ctl::drivers::storage {

/// How to clone cheapest here: "reflink" where the pool's file system shares blocks with the image store's, else "overlay".
[[nodiscard]] std::string preferred_method(const VolumePlace& place, const std::string& image);

/// Fills the volume directory `path` by `record.method`, from the image's tree if it has an image, and returns the detached
/// mount for rootfs/. Errors: unsupported when the kernel or file system can't do the method; `path` is then partly filled.
/// `record.disk_idmap` is set to what was done.
[[nodiscard]] Result<Fd> fill_volume(const VolumePlace& place, const Backend& backend, const std::string& path,
                                     VolumeRecord& record, UserNamespaces& namespaces);

/// The mount for rootfs/ of a filled volume, attached nowhere yet.
[[nodiscard]] Result<Fd> make_root_mount(const VolumePlace& place, const Backend& backend, const std::string& path,
                                         const VolumeRecord& record, UserNamespaces& namespaces);

/// What in the volume's directory holds what the container writes.
[[nodiscard]] std::string writable_tree(const VolumeRecord& record);
/// The same, opened; `path` is the volume's directory.
[[nodiscard]] Result<Tree> open_writable_tree(const Backend& backend, const std::string& path, const VolumeRecord& record);

}  // namespace ctl::drivers::storage
