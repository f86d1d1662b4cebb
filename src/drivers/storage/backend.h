#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/fd.h"
#include "base/result.h"

// What each kind of pool does its own way. A tree is a directory with what a container writes in it: a whole root
// filesystem, or a custom volume's files.

namespace ctl::drivers::storage {

/// A tree that was opened.
struct Tree {
    Fd directory;
    std::string volume;  ///< what it is outside of the pool's directory; empty where it is nothing but a directory
};

/// Bytes that each of a pool's trees may take, by Tree::volume.
using TreeLimits = std::map<std::string, std::int64_t, std::less<>>;

class Backend {
public:
    virtual ~Backend() = default;

    /// Checks that this host can have such pools. Errors: missing_driver, with what to install.
    [[nodiscard]] virtual Status check_host() const = 0;
    /// Checks that a directory that is there can hold such a pool. Errors: unsupported.
    [[nodiscard]] virtual Status check_directory(const std::string& path) const = 0;

    /// Whether clone_tree() shares what the two have in common, so that a pool keeps each image once and clones that.
    [[nodiscard]] virtual bool clones_trees() const = 0;
    /// Whether each tree is a file system of its own, which has a size and takes what an image holds as a copy of its own.
    [[nodiscard]] virtual bool makes_file_systems() const { return false; }
    /// `size`: bytes that it may take at first, where it is a file system; 0 for the least.
    [[nodiscard]] virtual Status make_tree(int parent, const std::string& name, std::int64_t size) const = 0;
    [[nodiscard]] virtual Result<Tree> open_tree(int parent, const std::string& name) const;
    /// A mount of the tree that is attached nowhere yet; ids are seen through the user namespace, if one is given.
    [[nodiscard]] virtual Result<Fd> mount_tree(int parent, const std::string& name,
                                                std::optional<int> user_namespace) const;
    /// A copy under `name`. Errors: unsupported where clones_trees() is false.
    [[nodiscard]] virtual Status clone_tree(const Tree& tree, int parent, const std::string& name) const = 0;
    /// Nobody writes to it from now on.
    [[nodiscard]] virtual Status seal_tree(const Tree& tree) const = 0;
    /// Deletes it; nothing there is success.
    [[nodiscard]] virtual Status remove_tree(int parent, const std::string& name) const = 0;

    /// Ends what deleted trees have left behind in a pool's file system, as far as it can be now.
    virtual void tidy(int /*pool*/) const {}

    /// Bytes the tree may take, 0 for as many as there are. Errors: unsupported.
    [[nodiscard]] virtual Status limit_tree(const Tree& tree, std::int64_t bytes) const = 0;
    [[nodiscard]] virtual Result<std::optional<std::int64_t>> limit_of_tree(const Tree& tree) const = 0;
    /// The limits of all trees at once, where asking for each takes a tool; nothing where limit_of_tree() is as good.
    [[nodiscard]] virtual Result<std::optional<TreeLimits>> limits() const { return std::optional<TreeLimits>(); }
    /// The volume of the tree `name`, unopened; empty where it has none.
    [[nodiscard]] virtual std::string volume_at(int /*parent*/, const std::string& /*name*/) const { return {}; }
    /// Checks that a limit can become another. Errors: unsupported.
    [[nodiscard]] virtual Status check_limit(std::int64_t /*from*/, std::int64_t /*to*/) const { return ok(); }
};

/// The backend of Pool::driver. Errors: unsupported.
[[nodiscard]] Result<const Backend*> find_backend(std::string_view driver);

}  // namespace ctl::drivers::storage
