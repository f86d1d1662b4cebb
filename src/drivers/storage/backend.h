#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

// What each kind of pool does its own way. A tree is a directory with what a container writes in it: a whole root
// filesystem, or a custom volume's files.

namespace ctl::drivers::storage {

class Backend {
public:
    virtual ~Backend() = default;

    /// Checks that this host can have such pools. Errors: missing_driver, with what to install.
    [[nodiscard]] virtual Status check_host() const = 0;
    /// Checks that a directory that is there can hold such a pool. Errors: unsupported.
    [[nodiscard]] virtual Status check_directory(const std::string& path) const = 0;

    /// Whether clone_tree() shares what the two have in common, so that a pool keeps each image once and clones that.
    [[nodiscard]] virtual bool clones_trees() const = 0;
    [[nodiscard]] virtual Status make_tree(int parent, const std::string& name) const = 0;
    /// A copy under `name`. Errors: unsupported where clones_trees() is false.
    [[nodiscard]] virtual Status clone_tree(int tree, int parent, const std::string& name) const = 0;
    /// Nobody writes to it from now on.
    [[nodiscard]] virtual Status seal_tree(int tree) const = 0;
    /// Deletes it; nothing there is success.
    [[nodiscard]] virtual Status remove_tree(int parent, const std::string& name) const = 0;

    /// Bytes the tree may take, 0 for as many as there are. Errors: unsupported.
    [[nodiscard]] virtual Status limit_tree(int tree, std::int64_t bytes) const = 0;
    [[nodiscard]] virtual Result<std::optional<std::int64_t>> limit_of_tree(int tree) const = 0;
};

/// The backend of Pool::driver. Errors: unsupported.
[[nodiscard]] Result<const Backend*> find_backend(std::string_view driver);

}  // namespace ctl::drivers::storage
