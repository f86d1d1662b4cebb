#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "drivers/image/fingerprint.h"

namespace ctl::drivers::image {

/// Bounds on what an archive may unpack to.
struct UnpackLimits {
    std::int64_t bytes = std::int64_t{50} << 30;
    std::int64_t entries = 5'000'000;
    std::int64_t ratio = 200;                         ///< unpacked to packed, looked at
    std::int64_t ratio_from = std::int64_t{1} << 30;  ///< beyond so many bytes
};

struct Unpacked {
    std::int64_t bytes = 0;     ///< of file content
    std::int64_t left_out = 0;  ///< device nodes and sockets
};

/// What a tar archive is read from, once.
struct ArchiveSource {
    int fd = -1;
    Fingerprint* sum = nullptr;  ///< is fed every byte that is read
    std::int64_t packed = 0;     ///< size of what stands behind a stream that is made of it; 0: what is read counts
    std::string name = {};       ///< what it is called before people
    std::int64_t size = 0;       ///< bytes that are going to be read; 0: nobody knows
};

/// Unpacks a tar archive (gzip, bzip2, xz, zstd, lz4, lzma, lzip, compress or none) into an empty directory. Whatever it
/// says, nothing outside of `root` is read or written: absolute paths, "..", and members that lead through a
/// symbolic link are `invalid` errors. Also invalid: archives beyond the limits; no_space: more than the disk has left.
/// Owners, modes, times, links, FIFOs, file capabilities and user.* attributes are kept.
[[nodiscard]] Result<Unpacked> unpack_tar(const ArchiveSource& source, int root, const UnpackLimits& limits = {});

/// The same for a file, a tar archive or a squashfs, all of whose bytes are added to `sum`.
[[nodiscard]] Result<Unpacked> unpack_file(const std::string& path, int root, Fingerprint& sum,
                                           const UnpackLimits& limits = {});

}  // namespace ctl::drivers::image
