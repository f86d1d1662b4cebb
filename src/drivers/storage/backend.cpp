#include "drivers/storage/backend.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include <fmt/format.h>

#include "base/file.h"
#include "base/process.h"
#include "base/text.h"
#include "base/tree.h"
#include "drivers/storage/btrfs.h"
#include "drivers/storage/mounts.h"

namespace ctl::drivers::storage {

namespace {

class DirBackend final : public Backend {
public:
    Status check_host() const override { return ok(); }
    Status check_directory(const std::string&) const override { return ok(); }

    bool clones_trees() const override { return false; }
    Status make_tree(int parent, const std::string& name, std::int64_t) const override {
        if (::mkdirat(parent, name.c_str(), 0700) != 0)
            return system_error(errno, fmt::format("make directory {}", ctl::quoted(name)));
        return ok();
    }
    Status clone_tree(const Tree&, int, const std::string&) const override {
        return Error(ErrorCode::unsupported, "directories can't be cloned");
    }
    Status seal_tree(const Tree&) const override { return ok(); }
    Status remove_tree(int parent, const std::string& name) const override { return ctl::remove_tree(parent, name); }

    Status limit_tree(const Tree&, std::int64_t bytes) const override {
        if (bytes == 0) return ok();
        return Error(ErrorCode::unsupported, "a pool of the driver dir can't limit a volume's size")
            .hint("remove size, or use a pool of the driver btrfs");
    }
    Result<std::optional<std::int64_t>> limit_of_tree(const Tree&) const override { return std::optional<std::int64_t>(); }
};

/// A file system that is built in or whose module can be loaded: the kernel loads it when it is first mounted.
bool kernel_may_have(std::string_view kind) {
    const auto table = read_file("/proc/filesystems");
    if (!table) return true;
    const auto lines = split(*table, '\n');
    const auto names_it = [&](std::string_view line) { return trimmed(line.substr(line.find('\t') + 1)) == kind; };
    if (std::any_of(lines.begin(), lines.end(), names_it)) return true;
    const auto found = run_process({"modprobe", "--dry-run", "--quiet", std::string(kind)}, std::chrono::seconds(10));
    return found && found->exit_code == 0;
}

class BtrfsBackend final : public Backend {
public:
    Status check_host() const override {
        if (!find_program("mkfs.btrfs"))
            return Error(ErrorCode::missing_driver, "pools of the driver btrfs need mkfs.btrfs, which is not installed")
                .hint("install the package btrfs-progs");
        if (!kernel_may_have("btrfs"))
            return Error(ErrorCode::missing_driver, "this kernel has no btrfs").hint("use driver: dir");
        return ok();
    }
    Status check_directory(const std::string& path) const override {
        CTL_ASSIGN(const Fd directory, open_directory(path));
        if (is_btrfs(directory.get())) return ok();
        return Error(ErrorCode::unsupported, fmt::format("{} is not on btrfs", ctl::quoted(path)))
            .hint("name a directory on a btrfs, a block device, or a file that is to be made");
    }

    bool clones_trees() const override { return true; }
    Status make_tree(int parent, const std::string& name, std::int64_t) const override {
        return make_subvolume(parent, name);
    }
    Status clone_tree(const Tree& tree, int parent, const std::string& name) const override {
        return snapshot_subvolume(tree.directory.get(), parent, name, false);
    }
    Status seal_tree(const Tree& tree) const override { return set_read_only(tree.directory.get(), true); }
    Status remove_tree(int parent, const std::string& name) const override {
        return is_subvolume(parent, name) ? delete_subvolume(parent, name) : ctl::remove_tree(parent, name);
    }
    /// A count that stays costs some bytes: the next change tries again.
    void tidy(int pool) const override { static_cast<void>(forget_unused_usage(pool).has_value()); }

    Status limit_tree(const Tree& tree, std::int64_t bytes) const override {
        return limit_subvolume(tree.directory.get(), bytes);
    }
    Result<std::optional<std::int64_t>> limit_of_tree(const Tree& tree) const override {
        return limit_of_subvolume(tree.directory.get());
    }
};

}  // namespace

Result<Tree> Backend::open_tree(int parent, const std::string& name) const {
    CTL_ASSIGN(Fd directory, open_beneath(parent, name, O_RDONLY | O_DIRECTORY));
    return Tree{std::move(directory), ""};
}

Result<Fd> Backend::mount_tree(int parent, const std::string& name, std::optional<int> user_namespace) const {
    CTL_ASSIGN(const Tree tree, open_tree(parent, name));
    return clone_mount(tree.directory.get(), user_namespace);
}

Result<const Backend*> find_backend(std::string_view driver) {
    static const DirBackend dir;
    static const BtrfsBackend btrfs;
    if (driver == "dir") return &dir;
    if (driver == "btrfs") return &btrfs;
    return Error(ErrorCode::unsupported, fmt::format("storage driver {} is not supported", ctl::quoted(driver)))
        .hint("use driver: dir, btrfs, lvm, zfs or ceph");
}

}  // namespace ctl::drivers::storage
