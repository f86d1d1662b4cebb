#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/id_map.h"
#include "base/result.h"

// Files in and out of containers. Everything in a container is looked up inside its root: no link in there leads out, and
// what isn't a file, a directory or a link is not opened.

namespace ctl::cli {

/// The files of a container.
struct ContainerRoot {
    Fd root;  ///< its root directory, as its processes see it
    IdMap ids = IdMap::identity();
};

struct CopyOptions {
    /// Owners, times and set-id bits come along: numbers as the container has them. Else what comes in is root's of the
    /// container, what comes out the caller's.
    bool archive = false;
    std::uint32_t uid = 0;  ///< whose what comes in is, without `archive`; as the container numbers them
    std::uint32_t gid = 0;
};

struct Copied {
    std::size_t files = 0;
    std::vector<std::string> skipped;  ///< devices, sockets and pipes, by their paths
};

/// As cp does: a directory with all that is in it; into `to` where that is a directory, else under that name. A file
/// appears whole or not at all. "-" is standard input or output, for one file.
[[nodiscard]] Result<Copied> copy_in(const std::string& from, const ContainerRoot& container, const std::string& to,
                                     const CopyOptions& options);
[[nodiscard]] Result<Copied> copy_out(const ContainerRoot& container, const std::string& from, const std::string& to,
                                      const CopyOptions& options);

}  // namespace ctl::cli
