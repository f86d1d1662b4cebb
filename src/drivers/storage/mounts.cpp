#include "drivers/storage/mounts.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <vector>

#include <fmt/format.h>

#include "base/file.h"
#include "base/mount_words.h"
#include "base/text.h"

namespace ctl::drivers::storage {

namespace {

/// What the kernel answers when it lacks the feature for this file system.
Error mount_error(int number, std::string_view doing) {
    if (number == EINVAL || number == ENODEV || number == ENOSYS || number == EOPNOTSUPP)
        return {ErrorCode::unsupported, system_error(number, doing).message()};
    return system_error(number, doing);
}

/// Mount options by descriptor: no path has to be escaped, and none is too long.
std::string descriptor_path(int fd) { return fmt::format("/proc/self/fd/{}", fd); }

Result<std::vector<std::string>> mount_points_below(const std::string& path) {
    CTL_ASSIGN(const std::string table, read_file("/proc/self/mountinfo"));
    std::vector<std::string> points;
    for (const auto line : split(table, '\n')) {
        const auto words = split(line, ' ');
        if (words.size() < 5) continue;
        std::string point = fstab_unescaped(words[4]);
        if (point == path || point.starts_with(path + "/")) points.push_back(std::move(point));
    }
    return points;
}

}  // namespace

Result<Fd> clone_mount(int directory, std::optional<int> user_namespace) {
    Fd mount(::open_tree(directory, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH));
    if (!mount) return mount_error(errno, "clone mount");
    if (user_namespace) CTL_TRY(map_ids(mount, *user_namespace));
    return mount;
}

Status map_ids(const Fd& mount, int user_namespace) {
    mount_attr attributes{};
    attributes.attr_set = MOUNT_ATTR_IDMAP;
    attributes.userns_fd = static_cast<std::uint64_t>(user_namespace);
    if (::mount_setattr(mount.get(), "", AT_EMPTY_PATH, &attributes, sizeof attributes) == 0) return ok();
    // In a container root may do so only to file systems that were mounted in there.
    if (errno == EPERM) return Error(ErrorCode::unsupported, system_error(EPERM, "map the ids of a mount").message());
    return mount_error(errno, "map the ids of a mount");
}

Result<Fd> make_overlay(const OverlayParts& parts) {
    const Fd context(::fsopen("overlay", FSOPEN_CLOEXEC));
    if (!context) return mount_error(errno, "prepare overlay");
    const auto set = [&](const char* key, const std::string& value) {
        return ::fsconfig(context.get(), FSCONFIG_SET_STRING, key, value.c_str(), 0) == 0;
    };
    if (!set("source", "ctl") || !set("lowerdir", descriptor_path(parts.lower)) ||
        !set("upperdir", descriptor_path(parts.upper)) || !set("workdir", descriptor_path(parts.work)))
        return mount_error(errno, "set up overlay");
    if (::fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) return mount_error(errno, "make overlay");
    Fd mount(::fsmount(context.get(), FSMOUNT_CLOEXEC, 0));
    if (!mount) return mount_error(errno, "mount overlay");
    return mount;
}

Status attach(const Fd& mount, const std::string& path) {
    if (::move_mount(mount.get(), "", AT_FDCWD, path.c_str(), MOVE_MOUNT_F_EMPTY_PATH) != 0)
        return mount_error(errno, fmt::format("mount on {}", ctl::quoted(path)));
    return ok();
}

bool is_mounted(int parent, const std::string& name, bool overlay) {
    struct statx info {};
    if (::statx(parent, name.c_str(), AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, STATX_TYPE, &info) != 0) return false;
    if ((info.stx_attributes & STATX_ATTR_MOUNT_ROOT) == 0) return false;
    if (!overlay) return true;
    const Fd fd(::openat(parent, name.c_str(), O_PATH | O_NOFOLLOW | O_DIRECTORY | O_CLOEXEC));
    struct statfs system {};
    return fd && ::fstatfs(fd.get(), &system) == 0 && system.f_type == OVERLAYFS_SUPER_MAGIC;
}

Result<std::string> mounted_device(const std::string& path) {
    std::error_code failed;
    const std::string canonical = std::filesystem::canonical(path, failed).native();
    CTL_ASSIGN(const std::string table, read_file("/proc/self/mountinfo"));
    std::string device;
    for (const auto line : split(table, '\n')) {
        const auto words = split(line, ' ');
        const auto dash = std::find(words.begin(), words.end(), "-");
        if (words.size() < 5 || words.end() - dash < 3 || fstab_unescaped(words[4]) != canonical) continue;
        device = fstab_unescaped(*(dash + 2));
    }
    if (failed || device.empty())
        return Error(ErrorCode::not_found, fmt::format("nothing is mounted at {}", ctl::quoted(path)));
    return device;
}

Status unmount_all(const std::string& path, WhenBusy when_busy) {
    std::error_code failed;
    const std::string canonical = std::filesystem::canonical(path, failed).native();
    if (failed)
        return failed.value() == ENOENT ? ok()
                                        : Status(system_error(failed.value(), fmt::format("find {}", ctl::quoted(path))));
    CTL_ASSIGN(const auto points, mount_points_below(canonical));
    for (auto point = points.rbegin(); point != points.rend(); ++point) {
        if (::umount2(point->c_str(), UMOUNT_NOFOLLOW) == 0) continue;
        if (errno == EBUSY && when_busy == WhenBusy::detach && ::umount2(point->c_str(), UMOUNT_NOFOLLOW | MNT_DETACH) == 0)
            continue;
        if (errno == EBUSY)
            return Error(ErrorCode::conflict, fmt::format("{} is in use", ctl::quoted(*point)))
                .hint("stop the container and what else works in its root filesystem");
        if (errno != EINVAL && errno != ENOENT) return system_error(errno, fmt::format("unmount {}", ctl::quoted(*point)));
    }
    return ok();
}

}  // namespace ctl::drivers::storage
