#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

// Directory trees by file descriptor: nothing here follows a symbolic link inside a tree or leaves the file system it
// began on, whatever the tree holds.

namespace ctl {

/// Trees nested deeper than this are refused, except for removal: each level holds a file descriptor.
inline constexpr unsigned max_tree_depth = 128;

/// Opens what stands at the relative `path` below `root`. A symbolic link on the way, at its end too, is an `invalid` error,
/// as is a file where a directory has to be.
/// `flags` are open(2)'s. With `same_mount`, crossing a mount point is a `conflict` error.
[[nodiscard]] Result<Fd> open_beneath(int root, const std::string& path, int flags, bool same_mount = true);

/// Opens a directory by an ordinary path.
[[nodiscard]] Result<Fd> open_directory(const std::string& path);

/// Whether it is where something is mounted.
[[nodiscard]] bool is_mount_root(int directory);

/// Makes a directory and the missing ones above it, with mode 0711 whatever the umask.
[[nodiscard]] Status make_directories(const std::string& path);

/// Names in a directory without "." and "..", sorted.
[[nodiscard]] Result<std::vector<std::string>> directory_names(int directory);

/// Deletes `name` below `parent` with all it holds; nothing there is success. Something mounted below is a `conflict`
/// error and stays.
[[nodiscard]] Status remove_tree(int parent, const std::string& name);

/// Moves the user and group ids [from, from + count) to [to, to + count); others stay.
struct IdShift {
    std::uint32_t from = 0;
    std::uint32_t to = 0;
    std::uint32_t count = 0;

    [[nodiscard]] std::uint32_t operator()(std::uint32_t id) const {
        return id >= from && id - from < count ? to + (id - from) : id;
    }
};

struct CopyOptions {
    bool devices = true;           ///< false: device nodes are left out
    std::optional<IdShift> shift;  ///< applied to owners, groups and the root ids of file capabilities
};

struct CopyTotals {
    std::int64_t bytes = 0;    ///< of file content
    std::int64_t devices = 0;  ///< left out
    std::int64_t sockets = 0;  ///< left out, always
};

/// Copies all that is in directory `from` into directory `to`: content (shared by reflink where the file system can, holes
/// kept), owners, modes, times, hard links, extended attributes except trusted.*; and `from`'s own attributes. What is
/// mounted below `from` is left out.
[[nodiscard]] Result<CopyTotals> copy_tree(int from, int to, const CopyOptions& options);

/// Shifts the ids of a directory and all below it in place; set-id bits and capabilities stay. Running it again after it
/// was cut short is harmless if the two ranges are disjoint.
[[nodiscard]] Status shift_tree(int directory, const IdShift& shift);

/// Extended attributes worth keeping: user.*, file capabilities and ACLs.
[[nodiscard]] bool is_kept_xattr(std::string_view name);

}  // namespace ctl
