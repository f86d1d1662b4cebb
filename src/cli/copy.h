#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

// Files in and out of containers. Everything in a container is looked up inside its root: no link in there leads out, and
// what isn't a file, a directory or a link is not opened.

namespace ctl::cli {

/// Ids of a container and of the host; see model::Container::idmap.
class IdMap {
public:
    /// "none", or "CONTAINER:HOST:COUNT", several of them between commas.
    [[nodiscard]] static Result<IdMap> parse(std::string_view text);

    [[nodiscard]] std::optional<std::uint32_t> to_host(std::uint32_t id) const;
    [[nodiscard]] std::optional<std::uint32_t> to_container(std::uint32_t id) const;

private:
    struct Range {
        std::uint32_t container;
        std::uint32_t host;
        std::uint32_t count;
    };
    std::vector<Range> ranges_;
};

/// The files of a container.
struct ContainerRoot {
    Fd root;  ///< its root directory, as its processes see it
    IdMap ids;
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
