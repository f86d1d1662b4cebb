#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <map>

#include <endian.h>
#include <fmt/format.h>

#include "base/text.h"
#include "base/tree.h"
#include "base/tree_written.h"

namespace ctl {

namespace {

constexpr std::string_view capability_xattr = "security.capability";

struct Copy {
    int root;  ///< of the copy
    const CopyOptions& options;
    CopyTotals totals;
    std::map<std::pair<dev_t, ino_t>, std::string> linked;  ///< where files with several names were put first
    bool overlay = false;                                   ///< trusted.overlay.* too
    bool live = false;                                      ///< see WrittenTreeOptions
};

/// A file capability's value with its root id shifted. Version 2 means root id 0 and has none written.
std::string shift_capability(std::string value, const IdShift& shift) {
    constexpr std::size_t size_v2 = 20;
    constexpr std::size_t size_v3 = 24;
    constexpr std::uint32_t revision_mask = 0xff000000;
    constexpr std::uint32_t revision_2 = 0x02000000;
    constexpr std::uint32_t revision_3 = 0x03000000;
    if (value.size() != size_v2 && value.size() != size_v3) return value;
    std::array<std::uint32_t, 6> words{};
    std::memcpy(words.data(), value.data(), value.size());
    const std::uint32_t root = shift(le32toh(words[5]));
    words[0] = htole32((le32toh(words[0]) & ~revision_mask) | (root == 0 ? revision_2 : revision_3));
    words[5] = htole32(root);
    value.resize(root == 0 ? size_v2 : size_v3);
    std::memcpy(value.data(), words.data(), value.size());
    return value;
}

Result<std::map<std::string, std::string>> read_xattrs(int fd, bool overlay = false) {
    std::map<std::string, std::string> found;
    ssize_t size = ::flistxattr(fd, nullptr, 0);
    if (size < 0 && errno == EOPNOTSUPP) return found;
    if (size < 0) return system_error(errno, "list extended attributes");
    std::string list(static_cast<std::size_t>(size), '\0');
    size = ::flistxattr(fd, list.data(), list.size());
    if (size < 0) return system_error(errno, "list extended attributes");
    list.resize(static_cast<std::size_t>(size));
    for (const auto piece : split(list, '\0')) {
        if (!is_kept_xattr(piece) && !(overlay && piece.starts_with("trusted.overlay."))) continue;
        const std::string name(piece);
        std::string value(65536, '\0');
        const ssize_t got = ::fgetxattr(fd, name.c_str(), value.data(), value.size());
        if (got < 0 && errno == ENODATA) continue;
        if (got < 0) return system_error(errno, fmt::format("read extended attribute {}", ctl::quoted(name)));
        value.resize(static_cast<std::size_t>(got));
        found.emplace(name, std::move(value));
    }
    return found;
}

Status write_all(int fd, const char* data, std::size_t size, off_t offset) {
    while (size != 0) {
        const ssize_t put = ::pwrite(fd, data, size, offset);
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return system_error(errno, "write");
        data += put;
        size -= static_cast<std::size_t>(put);
        offset += put;
    }
    return ok();
}

Status copy_range(int from, int to, off_t begin, off_t end) {
    std::array<char, 65536> buffer;
    while (begin < end) {
        const ssize_t got =
            ::pread(from, buffer.data(), std::min(buffer.size(), static_cast<std::size_t>(end - begin)), begin);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return system_error(errno, "read");
        if (got == 0) return ok();
        CTL_TRY(write_all(to, buffer.data(), static_cast<std::size_t>(got), begin));
        begin += got;
    }
    return ok();
}

Status copy_content(int from, int to, off_t size) {
    if (size == 0 || ::ioctl(to, FICLONE, from) == 0) return ok();
    for (off_t data = ::lseek(from, 0, SEEK_DATA); data >= 0 && data < size;) {
        const off_t hole = ::lseek(from, data, SEEK_HOLE);
        // Cut off in the meantime, in a tree that is in use.
        if (hole < 0 && errno == ENXIO) break;
        if (hole < 0) return system_error(errno, "seek");
        CTL_TRY(copy_range(from, to, data, hole));
        data = ::lseek(from, hole, SEEK_DATA);
    }
    if (::ftruncate(to, size) != 0) return system_error(errno, "set size");
    return ok();
}

/// Owner before mode and capabilities: changing the owner takes set-id bits and capabilities away.
Status copy_attributes(const Copy& copy, int from, int to, const struct stat& info) {
    const IdShift shift = copy.options.shift.value_or(IdShift{});
    if (::fchown(to, shift(info.st_uid), shift(info.st_gid)) != 0) return system_error(errno, "change owner");
    if (::fchmod(to, info.st_mode & 07777) != 0) return system_error(errno, "change mode");
    CTL_ASSIGN(const auto xattrs, read_xattrs(from, copy.overlay));
    for (const auto& [name, value] : xattrs) {
        const std::string put = name == capability_xattr ? shift_capability(value, shift) : value;
        if (::fsetxattr(to, name.c_str(), put.data(), put.size(), 0) != 0 && errno != EOPNOTSUPP)
            return system_error(errno, fmt::format("set extended attribute {}", ctl::quoted(name)));
    }
    const std::array<timespec, 2> times{info.st_atim, info.st_mtim};
    if (::futimens(to, times.data()) != 0) return system_error(errno, "set times");
    return ok();
}

/// Symbolic links, device nodes and FIFOs: made whole by one call, then given owner and times.
Status copy_special(const Copy& copy, int from, int to, const std::string& name, const struct stat& info) {
    if (S_ISLNK(info.st_mode)) {
        std::string target(4097, '\0');
        const ssize_t size = ::readlinkat(from, name.c_str(), target.data(), target.size());
        if (size < 0) return system_error(errno, "read link");
        target.resize(static_cast<std::size_t>(size));
        if (::symlinkat(target.c_str(), to, name.c_str()) != 0) return system_error(errno, "make symbolic link");
    } else {
        if (::mknodat(to, name.c_str(), info.st_mode, info.st_rdev) != 0) return system_error(errno, "make special file");
    }
    const IdShift shift = copy.options.shift.value_or(IdShift{});
    if (::fchownat(to, name.c_str(), shift(info.st_uid), shift(info.st_gid), AT_SYMLINK_NOFOLLOW) != 0)
        return system_error(errno, "change owner");
    if (!S_ISLNK(info.st_mode) && ::fchmodat(to, name.c_str(), info.st_mode & 07777, 0) != 0)
        return system_error(errno, "change mode");
    const std::array<timespec, 2> times{info.st_atim, info.st_mtim};
    if (::utimensat(to, name.c_str(), times.data(), AT_SYMLINK_NOFOLLOW) != 0) return system_error(errno, "set times");
    return ok();
}

Status copy_directory(Copy& copy, int from, int to, const std::string& path, unsigned depth);

/// True when the entry is one more name of a file that was copied before, and now is one in the copy too.
Result<bool> link_again(Copy& copy, int to, const std::string& name, const std::string& path, const struct stat& info) {
    if (S_ISDIR(info.st_mode) || info.st_nlink < 2) return false;
    const auto [first, is_new] = copy.linked.try_emplace({info.st_dev, info.st_ino}, path);
    if (is_new) return false;
    const std::size_t slash = first->second.rfind('/');
    const std::string base = slash == std::string::npos ? first->second : first->second.substr(slash + 1);
    CTL_ASSIGN(const Fd parent, open_beneath(copy.root, slash == std::string::npos ? "." : first->second.substr(0, slash),
                                             O_RDONLY | O_DIRECTORY));
    if (::linkat(parent.get(), base.c_str(), to, name.c_str(), 0) != 0) return system_error(errno, "make hard link");
    return true;
}

Status copy_entry(Copy& copy, int from, int to, const std::string& name, const std::string& path, unsigned depth) {
    struct stat info {};
    if (::fstatat(from, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) return system_error(errno, "stat");
    if (S_ISSOCK(info.st_mode)) {
        ++copy.totals.sockets;
        return ok();
    }
    if ((S_ISCHR(info.st_mode) || S_ISBLK(info.st_mode)) && !copy.options.devices) {
        ++copy.totals.devices;
        return ok();
    }
    CTL_ASSIGN(const bool linked, link_again(copy, to, name, path, info));
    if (linked) return ok();
    if (S_ISDIR(info.st_mode)) {
        if (::mkdirat(to, name.c_str(), 0700) != 0) return system_error(errno, "make directory");
        CTL_ASSIGN(const Fd to_below, open_beneath(to, name, O_RDONLY | O_DIRECTORY));
        auto from_below = open_beneath(from, name, O_RDONLY | O_DIRECTORY);
        if (!from_below && from_below.error().code() == ErrorCode::conflict) {
            const int mode = static_cast<int>(info.st_mode & 07777);
            return ::fchmod(to_below.get(), static_cast<mode_t>(mode)) == 0 ? ok() : system_error(errno, "change mode");
        }
        if (!from_below) return std::move(from_below).error();
        return copy_directory(copy, from_below->get(), to_below.get(), path, depth + 1);
    }
    if (!S_ISREG(info.st_mode)) return copy_special(copy, from, to, name, info);
    CTL_ASSIGN(const Fd source, open_beneath(from, name, O_RDONLY | O_NONBLOCK, false));
    CTL_ASSIGN(const Fd target, [&]() -> Result<Fd> {
        Fd fd(::openat(to, name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
        if (!fd) return system_error(errno, "create");
        return fd;
    }());
    CTL_TRY(copy_content(source.get(), target.get(), info.st_size));
    copy.totals.bytes += info.st_size;
    return copy_attributes(copy, source.get(), target.get(), info);
}

Status copy_directory(Copy& copy, int from, int to, const std::string& path, unsigned depth) {
    if (depth > max_tree_depth)
        return Error(ErrorCode::unsupported, fmt::format("directories are nested deeper than {} levels", max_tree_depth));
    struct stat info {};
    if (::fstat(from, &info) != 0) return system_error(errno, "stat");
    CTL_ASSIGN(const auto names, directory_names(from));
    for (const auto& name : names) {
        const std::string below = path.empty() ? name : path + "/" + name;
        auto copied = copy_entry(copy, from, to, name, below, depth);
        if (copied) continue;
        if (copy.live && copied.error().code() == ErrorCode::not_found) {
            // Under another of its names it may still be there.
            std::erase_if(copy.linked, [&](const auto& file) { return file.second == below; });
            continue;
        }
        if (!copied.error().context().empty()) return std::move(copied).error();
        return std::move(copied).error().while_(fmt::format("copying {}", ctl::quoted(below)));
    }
    return copy_attributes(copy, from, to, info);
}

/// The entry itself, whatever its kind, reached without following it.
Status shift_entry(int directory, const std::string& name, const struct stat& info, const IdShift& shift) {
    const uid_t uid = shift(info.st_uid);
    const gid_t gid = shift(info.st_gid);
    std::optional<Fd> file;
    std::map<std::string, std::string> xattrs;
    if (S_ISREG(info.st_mode)) {
        CTL_ASSIGN(file, open_beneath(directory, name, O_RDONLY | O_NONBLOCK));
        CTL_ASSIGN(xattrs, read_xattrs(file->get()));
    }
    if (uid != info.st_uid || gid != info.st_gid) {
        if (::fchownat(directory, name.c_str(), uid, gid, AT_SYMLINK_NOFOLLOW) != 0)
            return system_error(errno, "change owner");
        if (!S_ISLNK(info.st_mode) && ::fchmodat(directory, name.c_str(), info.st_mode & 07777, 0) != 0)
            return system_error(errno, "change mode");
    }
    if (const auto found = xattrs.find(std::string(capability_xattr)); found != xattrs.end()) {
        const std::string value = shift_capability(found->second, shift);
        if (::fsetxattr(file->get(), found->first.c_str(), value.data(), value.size(), 0) != 0)
            return system_error(errno, "set capabilities");
    }
    return ok();
}

Status shift_below(int directory, const IdShift& shift, unsigned depth) {
    if (depth > max_tree_depth)
        return Error(ErrorCode::unsupported, fmt::format("directories are nested deeper than {} levels", max_tree_depth));
    CTL_ASSIGN(const auto names, directory_names(directory));
    for (const auto& name : names) {
        struct stat info {};
        if (::fstatat(directory, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) return system_error(errno, "stat");
        CTL_TRY(shift_entry(directory, name, info, shift));
        if (!S_ISDIR(info.st_mode)) continue;
        CTL_ASSIGN(const Fd below, open_beneath(directory, name, O_RDONLY | O_DIRECTORY));
        CTL_TRY(shift_below(below.get(), shift, depth + 1));
    }
    return ok();
}

}  // namespace

bool is_kept_xattr(std::string_view name) {
    return name == capability_xattr || name.starts_with("user.") || name == "system.posix_acl_access" ||
           name == "system.posix_acl_default";
}

Result<CopyTotals> copy_tree(int from, int to, const CopyOptions& options) {
    Copy copy{to, options, {}, {}, false, false};
    CTL_TRY(copy_directory(copy, from, to, "", 0));
    return copy.totals;
}

Status copy_written_tree(int from, int to, const WrittenTreeOptions& options) {
    CopyOptions copied;
    copied.shift = options.shift;
    Copy copy{to, copied, {}, {}, true, options.live};
    return copy_directory(copy, from, to, "", 0);
}

Status shift_tree(int directory, const IdShift& shift) {
    struct stat info {};
    if (::fstat(directory, &info) != 0) return system_error(errno, "stat");
    if (::fchown(directory, shift(info.st_uid), shift(info.st_gid)) != 0) return system_error(errno, "change owner");
    if (::fchmod(directory, info.st_mode & 07777) != 0) return system_error(errno, "change mode");
    return shift_below(directory, shift, 0);
}

}  // namespace ctl
