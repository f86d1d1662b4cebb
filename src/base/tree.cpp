#include "base/tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <memory>

#include <fmt/format.h>

#include "base/text.h"

namespace ctl {

namespace {

/// Deeper directories are moved up before they are emptied, so that no depth can exhaust descriptors or the stack.
constexpr unsigned removal_depth = 64;

struct Removal {
    int top;
    unsigned long moved = 0;
};

Status move_up(Removal& removal, int directory, const std::string& name) {
    while (true) {
        const std::string up = fmt::format(".ctl-deep-{}", removal.moved++);
        if (::renameat2(directory, name.c_str(), removal.top, up.c_str(), RENAME_NOREPLACE) == 0) return ok();
        if (errno != EEXIST) return system_error(errno, fmt::format("move {}", ctl::quoted(name)));
    }
}

Status empty_directory(Removal& removal, int directory, unsigned depth) {
    CTL_ASSIGN(const auto names, directory_names(directory));
    for (const auto& name : names) {
        if (::unlinkat(directory, name.c_str(), 0) == 0 || errno == ENOENT) continue;
        if (errno == EBUSY) return Error(ErrorCode::conflict, fmt::format("something is mounted on {}", ctl::quoted(name)));
        if (errno != EISDIR) return system_error(errno, fmt::format("delete {}", ctl::quoted(name)));
        CTL_ASSIGN(const Fd below, open_beneath(directory, name, O_RDONLY | O_DIRECTORY));
        if (depth == removal_depth) {
            CTL_TRY(move_up(removal, directory, name));
            continue;
        }
        CTL_TRY(empty_directory(removal, below.get(), depth + 1));
        if (::unlinkat(directory, name.c_str(), AT_REMOVEDIR) != 0)
            return system_error(errno, fmt::format("delete directory {}", ctl::quoted(name)));
    }
    return ok();
}

}  // namespace

Result<Fd> open_beneath(int root, const std::string& path, int flags, bool same_mount) {
    open_how how{};
    how.flags = static_cast<std::uint64_t>(flags) | O_CLOEXEC | O_NOFOLLOW;
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
    if (same_mount) how.resolve |= RESOLVE_NO_XDEV;
    while (true) {
        Fd fd(static_cast<int>(::syscall(SYS_openat2, root, path.c_str(), &how, sizeof how)));
        if (fd) return fd;
        if (errno == EINTR || errno == EAGAIN) continue;
        if (errno == ELOOP || errno == ENOTDIR)
            return Error(ErrorCode::invalid,
                         fmt::format("{} is or leads through a symbolic link or a file", ctl::quoted(path)));
        if (errno == EXDEV && same_mount)
            return Error(ErrorCode::conflict, fmt::format("something is mounted on {}", ctl::quoted(path)));
        return system_error(errno, fmt::format("open {}", ctl::quoted(path)));
    }
}

Result<Fd> open_directory(const std::string& path) {
    Fd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd) return system_error(errno, fmt::format("open directory {}", ctl::quoted(path)));
    return fd;
}

bool is_mount_root(int directory) {
    struct statx info {};
    return ::statx(directory, "", AT_EMPTY_PATH | AT_NO_AUTOMOUNT, STATX_TYPE, &info) == 0 &&
           (info.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
}

Status make_directories(const std::string& path) {
    for (std::size_t end = path.find('/', 1); true; end = path.find('/', end + 1)) {
        const std::string part = path.substr(0, end);
        if (::mkdir(part.c_str(), 0711) == 0) {
            if (::chmod(part.c_str(), 0711) != 0) return system_error(errno, fmt::format("chmod {}", ctl::quoted(part)));
        } else if (errno != EEXIST) {
            return system_error(errno, fmt::format("make directory {}", ctl::quoted(part)));
        }
        if (end == std::string::npos) return ok();
    }
}

Result<std::vector<std::string>> directory_names(int directory) {
    const int again = ::openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (again < 0) return system_error(errno, "open directory");
    const std::unique_ptr<DIR, int (*)(DIR*)> stream(::fdopendir(again), &::closedir);
    if (!stream) return system_error(errno, "read directory");
    std::vector<std::string> names;
    errno = 0;
    while (const dirent* entry = ::readdir(stream.get())) {
        const std::string_view name = entry->d_name;
        if (name != "." && name != "..") names.emplace_back(name);
    }
    if (errno != 0) return system_error(errno, "read directory");
    std::sort(names.begin(), names.end());
    return names;
}

Status remove_tree(int parent, const std::string& name) {
    if (::unlinkat(parent, name.c_str(), 0) == 0 || errno == ENOENT) return ok();
    if (errno != EISDIR) return system_error(errno, fmt::format("delete {}", ctl::quoted(name)));
    CTL_ASSIGN(const Fd top, open_beneath(parent, name, O_RDONLY | O_DIRECTORY));
    Removal removal{top.get()};
    do {
        removal.moved = 0;
        if (auto emptied = empty_directory(removal, top.get(), 0); !emptied)
            return std::move(emptied).error().while_(fmt::format("deleting {}", ctl::quoted(name)));
    } while (removal.moved != 0);
    if (::unlinkat(parent, name.c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT)
        return system_error(errno, fmt::format("delete directory {}", ctl::quoted(name)));
    return ok();
}

}  // namespace ctl
