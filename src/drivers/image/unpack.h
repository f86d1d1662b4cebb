#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"

namespace ctl::drivers::image {

/// Bounds on what an archive may unpack to.
struct UnpackLimits {
    std::int64_t bytes = std::int64_t{50} << 30;
    std::int64_t entries = 5'000'000;
    std::int64_t ratio = 200;                         ///< unpacked to packed, looked at
    std::int64_t ratio_from = std::int64_t{1} << 30;  ///< beyond so many bytes
};

struct Unpacked {
    std::string fingerprint;    ///< SHA-256 of the archive's own bytes
    std::int64_t bytes = 0;     ///< of file content
    std::int64_t left_out = 0;  ///< device nodes and sockets
};

/// Unpacks a tarball (gzip, bzip2, xz, zstd, lz4, lzma, lzip, compress or none) into an empty directory. Whatever the
/// archive says, nothing outside of `root` is read or written: absolute paths, "..", and members that lead through a
/// symbolic link are `invalid` errors. Also invalid: archives beyond the limits; no_space: more than the disk has left.
/// Owners, modes, times, links, FIFOs, file capabilities and user.* attributes are kept.
[[nodiscard]] Result<Unpacked> unpack_tarball(const std::string& path, int root, const UnpackLimits& limits = {});

}  // namespace ctl::drivers::image
