#include "drivers/storage/btrfs.h"

#include <fcntl.h>
#include <linux/btrfs.h>
#include <linux/btrfs_tree.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <new>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "base/fd.h"
#include "base/text.h"

namespace ctl::drivers::storage {

namespace {

/// Of the top directory of every subvolume.
constexpr ino_t top_inode = 256;

/// A file handle of btrfs without the directory that it is in, as the kernel's linux/exportfs.h numbers it.
constexpr int handle_type = 0x4d;
struct [[gnu::packed]] Handle {
    std::uint64_t inode;
    std::uint64_t subvolume;
    std::uint32_t generation;
};

template <typename Arguments>
Result<Arguments> with_name(const std::string& name) {
    Arguments arguments{};
    if (name.size() >= sizeof arguments.name)
        return Error(ErrorCode::invalid, fmt::format("name {} is too long", ctl::quoted(name)));
    std::memcpy(arguments.name, name.data(), name.size());
    return arguments;
}

Result<std::uint64_t> subvolume_id(int subvolume) {
    btrfs_ioctl_ino_lookup_args arguments{};
    arguments.objectid = BTRFS_FIRST_FREE_OBJECTID;
    if (::ioctl(subvolume, BTRFS_IOC_INO_LOOKUP, &arguments) != 0)
        return system_error(errno, "ask for a subvolume's number");
    return std::uint64_t{arguments.treeid};
}

/// Subvolumes are counted from here on; returns when those that were there before have been.
Status count_usage(int fd) {
    btrfs_ioctl_quota_ctl_args control{};
    control.cmd = BTRFS_QUOTA_CTL_ENABLE;
    if (::ioctl(fd, BTRFS_IOC_QUOTA_CTL, &control) != 0) return system_error(errno, "switch quotas on");
    if (::ioctl(fd, BTRFS_IOC_QUOTA_RESCAN_WAIT) != 0) return system_error(errno, "wait for quotas");
    return ok();
}

/// Looks for the first item in a tree at or after the key, up to its greatest values; false when there is none.
Result<bool> search(int file_system, btrfs_ioctl_search_args& arguments, std::string_view doing) {
    arguments.key.max_transid = ~std::uint64_t{0};
    arguments.key.nr_items = 1;
    if (::ioctl(file_system, BTRFS_IOC_TREE_SEARCH, &arguments) == 0) return arguments.key.nr_items != 0;
    return errno == ENOENT ? Result<bool>(false) : system_error(errno, doing);
}

/// Which of all that ever had the inode's number it is.
Result<std::uint32_t> generation_of(int file_system, std::uint64_t subvolume, std::uint64_t inode) {
    btrfs_ioctl_search_args arguments{};
    auto& key = arguments.key;
    key.tree_id = subvolume;
    key.min_objectid = key.max_objectid = inode;
    key.min_type = key.max_type = BTRFS_INODE_ITEM_KEY;
    CTL_ASSIGN(const bool found, search(file_system, arguments, "find a directory in a subvolume"));
    if (!found) return Error(ErrorCode::not_found, fmt::format("subvolume {} has no directory {}", subvolume, inode));
    btrfs_inode_item item{};
    std::memcpy(&item, arguments.buf + sizeof(btrfs_ioctl_search_header), sizeof item);
    return static_cast<std::uint32_t>(le64toh(item.generation));
}

/// Opens a directory by its numbers: whatever its path is, and however long.
Result<Fd> open_by_number(int file_system, std::uint64_t subvolume, std::uint64_t inode) {
    CTL_ASSIGN(const std::uint32_t generation, generation_of(file_system, subvolume, inode));
    const Handle wanted{inode, subvolume, generation};
    alignas(file_handle) std::array<char, sizeof(file_handle) + sizeof wanted> space{};
    auto* handle = new (space.data()) file_handle;
    handle->handle_bytes = sizeof wanted;
    handle->handle_type = handle_type;
    std::memcpy(space.data() + sizeof(file_handle), &wanted, sizeof wanted);
    Fd opened(::open_by_handle_at(file_system, handle, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!opened) return system_error(errno, fmt::format("open a directory in subvolume {}", subvolume));
    return opened;
}

/// A subvolume in another one: its number, the other's, and that of the directory in the other that it is in.
struct Inner {
    std::uint64_t id;
    std::uint64_t parent;
    std::uint64_t directory;
};

/// Those right below one.
Result<std::vector<Inner>> subvolumes_in(int subvolume) {
    CTL_ASSIGN(const std::uint64_t parent, subvolume_id(subvolume));
    std::vector<Inner> found;
    btrfs_ioctl_get_subvol_rootref_args arguments{};
    while (true) {
        const bool is_last = ::ioctl(subvolume, BTRFS_IOC_GET_SUBVOL_ROOTREF, &arguments) == 0;
        if (!is_last && errno != EOVERFLOW) return system_error(errno, "list the subvolumes in one");
        for (std::size_t i = 0; i < arguments.num_items; ++i)
            found.push_back({arguments.rootref[i].treeid, parent, arguments.rootref[i].dirid});
        if (is_last) return found;
    }
}

Status delete_inner(int file_system, const Inner& inner) {
    CTL_ASSIGN(const Fd directory, open_by_number(file_system, inner.parent, inner.directory));
    btrfs_ioctl_ino_lookup_user_args known{};
    known.treeid = inner.id;
    known.dirid = inner.directory;
    if (::ioctl(directory.get(), BTRFS_IOC_INO_LOOKUP_USER, &known) != 0)
        return system_error(errno, fmt::format("ask for the name of subvolume {}", inner.id));
    return delete_subvolume(directory.get(), known.name);
}

/// A container may have made subvolumes of its own, and made them read-only: nothing in such a one can be deleted.
Status delete_subvolumes_in(int subvolume) {
    CTL_TRY(set_read_only(subvolume, false));
    CTL_ASSIGN(auto all, subvolumes_in(subvolume));
    for (std::size_t i = 0; i < all.size(); ++i) {
        CTL_ASSIGN(const Fd inner, open_by_number(subvolume, all[i].id, top_inode));
        CTL_TRY(set_read_only(inner.get(), false));
        CTL_ASSIGN(const auto below, subvolumes_in(inner.get()));
        all.insert(all.end(), below.begin(), below.end());
    }
    for (auto inner = all.rbegin(); inner != all.rend(); ++inner) CTL_TRY(delete_inner(subvolume, *inner));
    return ok();
}

}  // namespace

bool is_btrfs(int fd) {
    struct statfs info {};
    return ::fstatfs(fd, &info) == 0 && info.f_type == BTRFS_SUPER_MAGIC;
}

bool is_subvolume(int parent, const std::string& name) {
    struct stat info {};
    return is_btrfs(parent) && ::fstatat(parent, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(info.st_mode) &&
           info.st_ino == top_inode;
}

Status make_subvolume(int parent, const std::string& name) {
    CTL_ASSIGN(auto arguments, with_name<btrfs_ioctl_vol_args_v2>(name));
    if (::ioctl(parent, BTRFS_IOC_SUBVOL_CREATE_V2, &arguments) != 0)
        return system_error(errno, fmt::format("make subvolume {}", ctl::quoted(name)));
    return ok();
}

Status snapshot_subvolume(int source, int parent, const std::string& name, bool read_only) {
    CTL_ASSIGN(auto arguments, with_name<btrfs_ioctl_vol_args_v2>(name));
    arguments.fd = source;
    arguments.flags = read_only ? BTRFS_SUBVOL_RDONLY : 0;
    if (::ioctl(parent, BTRFS_IOC_SNAP_CREATE_V2, &arguments) != 0)
        return system_error(errno, fmt::format("make snapshot {}", ctl::quoted(name)));
    return ok();
}

Status delete_subvolume(int parent, const std::string& name) {
    CTL_ASSIGN(auto arguments, with_name<btrfs_ioctl_vol_args>(name));
    const Fd subvolume(::openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!subvolume && errno == ENOENT) return ok();
    if (!subvolume) return system_error(errno, fmt::format("open subvolume {}", ctl::quoted(name)));
    const auto destroy = [&] { return ::ioctl(parent, BTRFS_IOC_SNAP_DESTROY, &arguments) == 0; };
    bool gone = destroy();
    if (!gone && errno == ENOTEMPTY) {
        CTL_TRY(delete_subvolumes_in(subvolume.get()));
        gone = destroy();
    }
    if (!gone) return system_error(errno, fmt::format("delete subvolume {}", ctl::quoted(name)));
    return ok();
}

Status set_read_only(int subvolume, bool read_only) {
    std::uint64_t flags = 0;
    if (::ioctl(subvolume, BTRFS_IOC_SUBVOL_GETFLAGS, &flags) != 0) return system_error(errno, "read a subvolume's flags");
    const std::uint64_t wanted = read_only ? flags | BTRFS_SUBVOL_RDONLY : flags & ~BTRFS_SUBVOL_RDONLY;
    if (wanted != flags && ::ioctl(subvolume, BTRFS_IOC_SUBVOL_SETFLAGS, &wanted) != 0)
        return system_error(errno, "set a subvolume's flags");
    return ok();
}

Status limit_subvolume(int subvolume, std::int64_t bytes) {
    btrfs_ioctl_qgroup_limit_args arguments{};
    arguments.lim.flags = BTRFS_QGROUP_LIMIT_MAX_RFER;
    // All bits set is how the kernel spells "none".
    arguments.lim.max_rfer = bytes > 0 ? static_cast<std::uint64_t>(bytes) : ~std::uint64_t{0};
    if (::ioctl(subvolume, BTRFS_IOC_QGROUP_LIMIT, &arguments) == 0) return ok();
    if (errno != ENOTCONN) return system_error(errno, "limit a subvolume");
    if (bytes <= 0) return ok();
    CTL_TRY(count_usage(subvolume));
    if (::ioctl(subvolume, BTRFS_IOC_QGROUP_LIMIT, &arguments) != 0) return system_error(errno, "limit a subvolume");
    return ok();
}

Result<std::optional<std::int64_t>> limit_of_subvolume(int subvolume) {
    CTL_ASSIGN(const std::uint64_t id, subvolume_id(subvolume));
    btrfs_ioctl_search_args arguments{};
    auto& key = arguments.key;
    key.tree_id = BTRFS_QUOTA_TREE_OBJECTID;
    key.min_type = key.max_type = BTRFS_QGROUP_LIMIT_KEY;
    key.min_offset = key.max_offset = id;
    key.max_transid = ~std::uint64_t{0};
    key.nr_items = 1;
    if (::ioctl(subvolume, BTRFS_IOC_TREE_SEARCH, &arguments) != 0) {
        if (errno == ENOENT) return std::optional<std::int64_t>();
        return system_error(errno, "read a subvolume's limit");
    }
    btrfs_ioctl_search_header header{};
    btrfs_qgroup_limit_item item{};
    if (key.nr_items == 0) return std::optional<std::int64_t>();
    std::memcpy(&header, arguments.buf, sizeof header);
    if (header.len < sizeof item) return std::optional<std::int64_t>();
    std::memcpy(&item, arguments.buf + sizeof header, sizeof item);
    const std::uint64_t bytes = le64toh(item.max_rfer);
    const bool is_limited = (le64toh(item.flags) & BTRFS_QGROUP_LIMIT_MAX_RFER) != 0 && bytes != 0 && bytes <= INT64_MAX;
    return is_limited ? std::optional(static_cast<std::int64_t>(bytes)) : std::nullopt;
}

Status forget_unused_usage(int fd) {
    btrfs_ioctl_search_args counted{};
    auto& key = counted.key;
    key.tree_id = BTRFS_QUOTA_TREE_OBJECTID;
    key.min_type = key.max_type = BTRFS_QGROUP_INFO_KEY;
    key.min_offset = BTRFS_FIRST_FREE_OBJECTID;
    // Above there are groups of groups, which people make.
    key.max_offset = (std::uint64_t{1} << BTRFS_QGROUP_LEVEL_SHIFT) - 1;
    while (true) {
        CTL_ASSIGN(const bool found, search(fd, counted, "list what is counted"));
        if (!found) return ok();
        btrfs_ioctl_search_header header{};
        std::memcpy(&header, counted.buf, sizeof header);
        btrfs_ioctl_search_args subvolume{};
        subvolume.key.tree_id = BTRFS_ROOT_TREE_OBJECTID;
        subvolume.key.min_objectid = subvolume.key.max_objectid = header.offset;
        subvolume.key.min_type = subvolume.key.max_type = BTRFS_ROOT_ITEM_KEY;
        subvolume.key.max_offset = ~std::uint64_t{0};
        CTL_ASSIGN(const bool is_there, search(fd, subvolume, "find a subvolume"));
        btrfs_ioctl_qgroup_create_args unused{};
        unused.qgroupid = header.offset;
        // One that is gone since, or counts again, is none that is unused.
        if (!is_there && ::ioctl(fd, BTRFS_IOC_QGROUP_CREATE, &unused) != 0 && errno != EBUSY && errno != ENOENT)
            return system_error(errno, "forget what was counted of a subvolume");
        key.min_offset = header.offset + 1;
    }
}

Result<std::int64_t> size_of_file_system(int fd) {
    btrfs_ioctl_fs_info_args about{};
    if (::ioctl(fd, BTRFS_IOC_FS_INFO, &about) != 0) return system_error(errno, "ask for the devices of the file system");
    std::int64_t bytes = 0;
    for (std::uint64_t id = 1; id <= about.max_id; ++id) {
        btrfs_ioctl_dev_info_args device{};
        device.devid = id;
        if (::ioctl(fd, BTRFS_IOC_DEV_INFO, &device) == 0) bytes += static_cast<std::int64_t>(device.total_bytes);
        else if (errno != ENODEV) return system_error(errno, "ask for the size of the file system");
    }
    return bytes;
}

Status grow_file_system(int fd) {
    CTL_ASSIGN(auto arguments, with_name<btrfs_ioctl_vol_args>("max"));
    if (::ioctl(fd, BTRFS_IOC_RESIZE, &arguments) != 0) return system_error(errno, "grow the file system");
    return ok();
}

}  // namespace ctl::drivers::storage
