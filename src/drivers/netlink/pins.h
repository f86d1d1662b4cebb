#pragma once

#include <sys/types.h>

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

namespace ctl::drivers::netlink {

/// What is pinned below RUN_DIR/namespaces: one directory per namespace with the files `net` and (unless the idmap is
/// "none") `user`, on which the namespaces are mounted, and `mark`, written last.
class Pins {
public:
    explicit Pins(std::string run_dir) : root_(std::move(run_dir) + "/namespaces") {}

    struct Pin {
        std::string name;
        ino_t inode = 0;    ///< of the network namespace: another number is another namespace
        std::string mark;   ///< make_mark() of its owner; "" if it was not finished
        std::string idmap;  ///< "" if it was not finished
    };

    /// All that are mounted, sorted by name. Files left by a boot before are no namespaces.
    [[nodiscard]] Result<std::vector<Pin>> list() const;
    [[nodiscard]] std::optional<Pin> find(const std::string& name) const;
    /// The network namespace's descriptor.
    [[nodiscard]] Result<Fd> open(const std::string& name) const;

    /// Makes the place for pins, before the first is made.
    [[nodiscard]] Status prepare() const;
    /// Makes the namespaces and pins them, without the mark. What a killed attempt left is cleared away first. Several
    /// threads may make different ones at a time.
    [[nodiscard]] Status make(const std::string& name, const std::string& idmap) const;
    [[nodiscard]] Status write_mark(const std::string& name, const std::string& mark, const std::string& idmap) const;
    /// Unmounts and removes whatever there is of it. The namespace goes when its last process and socket have gone.
    [[nodiscard]] Status remove(const std::string& name) const;

private:
    [[nodiscard]] std::string dir(const std::string& name) const { return root_ + "/" + name; }

    std::string root_;
};

/// Runs `work` in a thread that may enter other namespaces (setns) without the caller leaving its own.
void in_own_thread(const std::function<void()>& work);

/// Enters a network namespace; only inside in_own_thread().
[[nodiscard]] Status enter(const Fd& netns);

}  // namespace ctl::drivers::netlink
