#pragma once

#include <cstdint>
#include <string>

#include "base/fd.h"
#include "base/result.h"

// Steps of building an image in a directory `aside`: it ends up with rootfs/, and with metadata.yaml and templates/ if the
// image has them.

namespace ctl::drivers::image {

/// An image that was built, still under an aside name.
struct Built {
    std::string fingerprint;
    std::int64_t bytes = 0;     ///< of file content
    std::int64_t left_out = 0;  ///< device nodes and sockets that were not taken over
    bool is_known = false;      ///< nothing was built: the store has it by that fingerprint
};

/// A new directory in `aside`.
[[nodiscard]] Result<Fd> make_tree(int aside, const char* name);

/// Takes the root filesystem out of `aside`/tree, whether that is it or has it as "rootfs", as LXD's unified tarballs have.
/// Errors: invalid without one, or with bad metadata; unsupported when it is for another kind of machine.
[[nodiscard]] Status place_tree(int tree, int aside);

/// From a file that holds all of an image. Its fingerprint is the file's.
[[nodiscard]] Result<Built> unpack_one(const std::string& source, int aside);

/// From metadata in one file and the root filesystem in another; the fingerprint is that of both, one after the other.
[[nodiscard]] Result<Built> unpack_two(const std::string& metadata, const std::string& rootfs, int aside);

}  // namespace ctl::drivers::image
