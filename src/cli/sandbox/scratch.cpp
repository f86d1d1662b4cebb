#include "cli/sandbox/scratch.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/openat2.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <memory>

#include "base/file.h"
#include "base/text.h"
#include "cli/sandbox/cgroups.h"
#include "cli/sandbox/mounts.h"

namespace ctl::cli {

namespace {

struct DirCloser {
    void operator()(DIR* dir) const { ::closedir(dir); }
};

/// Opens a directory below another one, through no symbolic link and no mount point.
Fd open_below(int parent, const char* name) {
    open_how how{};
    how.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    how.resolve = RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH;
    return Fd(static_cast<int>(::syscall(SYS_openat2, parent, name, &how, sizeof how)));
}

Status remove_below(int parent, const char* name, const std::string& shown) {
    Fd fd = open_below(parent, name);
    if (!fd) return errno == ENOENT ? ok() : Status(system_error(errno, fmt::format("open {}", ctl::quoted(shown))));
    const std::unique_ptr<DIR, DirCloser> dir(::fdopendir(fd.get()));
    if (!dir) return system_error(errno, fmt::format("read {}", ctl::quoted(shown)));
    const int here = fd.release();  // now the DIR's
    while (const dirent* entry = ::readdir(dir.get())) {
        const std::string_view child = entry->d_name;
        if (child == "." || child == "..") continue;
        if (::unlinkat(here, entry->d_name, 0) == 0 || errno == ENOENT) continue;
        const std::string child_shown = fmt::format("{}/{}", shown, child);
        if (errno != EISDIR) return system_error(errno, fmt::format("remove {}", ctl::quoted(child_shown)));
        CTL_TRY(remove_below(here, entry->d_name, child_shown));
    }
    if (::unlinkat(parent, name, AT_REMOVEDIR) != 0 && errno != ENOENT) {
        return system_error(errno, fmt::format("remove {}", ctl::quoted(shown)));
    }
    return ok();
}

/// BASE, opened and locked for as long as the descriptor lives. It is root's alone, whoever may write to the folder above.
Result<Fd> open_base(const std::string& base) {
    CTL_TRY(make_directory(base, 0700));
    Fd fd(::open(base.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!fd) return system_error(errno, fmt::format("open {}", base));
    struct stat info {};
    if (::fstat(fd.get(), &info) != 0) return system_error(errno, fmt::format("look at {}", base));
    if (info.st_uid != 0 || (info.st_mode & 022) != 0) {
        return Error(ErrorCode::conflict, fmt::format("{} is not root's alone", base))
            .hint("remove it, or set TMPDIR to another directory on a disk");
    }
    while (::flock(fd.get(), LOCK_EX) != 0) {
        if (errno != EINTR) return system_error(errno, fmt::format("lock {}", base));
    }
    return fd;
}

/// The cgroups written down for a sandbox; only lines that can be nothing else.
std::vector<std::string> remembered_cgroups(const std::string& path, const std::string& id) {
    std::vector<std::string> directories;
    const Result<std::string> text = read_file(path + "/cgroups");
    if (!text) return directories;
    for (const std::string_view line : split(*text, '\n')) {
        if (line.starts_with("/sys/fs/cgroup/") && line.ends_with("/" + cgroup_name(id)) && line.find("/../") == line.npos) {
            directories.emplace_back(line);
        }
    }
    return directories;
}

/// Sandboxes whose ctl was killed. One that can't be removed now stays for the next run.
void remove_abandoned(const std::string& base, int base_fd) {
    std::vector<std::string> ids;
    if (const std::unique_ptr<DIR, DirCloser> dir(::opendir(base.c_str())); dir) {
        while (const dirent* entry = ::readdir(dir.get())) {
            if (entry->d_type == DT_DIR && entry->d_name[0] != '.') ids.emplace_back(entry->d_name);
        }
    }
    for (const std::string& id : ids) {
        const std::string path = fmt::format("{}/{}", base, id);
        const Fd lock(::open((path + "/lock").c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
        if (lock && ::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) continue;
        if (!lock && errno != ENOENT) continue;
        if (remove_cgroups(remembered_cgroups(path, id))) (void)remove_below(base_fd, id.c_str(), path);
    }
}

}  // namespace

std::string cgroup_name(const std::string& id) { return "ctl-sandbox-" + id; }

Result<Scratch> make_scratch() {
    const char* from_environment = std::getenv("TMPDIR");
    std::error_code failure;
    const std::filesystem::path above = std::filesystem::canonical(
        from_environment != nullptr && *from_environment != '\0' ? from_environment : "/var/tmp", failure);
    if (failure) return system_error(failure.value(), "look for a directory for scratch files ($TMPDIR or /var/tmp)");
    for (const char* covered : {"/run", "/var/lib", "/sys", "/proc"}) {
        if (is_within(above.string(), covered)) {
            return Error(ErrorCode::unsupported,
                         fmt::format("TMPDIR is {}, which a sandbox covers", ctl::quoted(above.string())))
                .hint("set TMPDIR to a directory on a disk, such as /var/tmp");
        }
    }

    Scratch scratch;
    scratch.base = (above / "ctl-sandbox").string();
    CTL_ASSIGN(const Fd base, open_base(scratch.base));
    remove_abandoned(scratch.base, base.get());

    std::string path = fmt::format("{}/{}-XXXXXX", scratch.base, ::getpid());
    if (::mkdtemp(path.data()) == nullptr) return system_error(errno, fmt::format("make {}", path));
    scratch.path = path;
    scratch.id = path.substr(scratch.base.size() + 1);
    // Others, mapped users among them, have to reach what lies below; BASE above keeps everybody else out.
    if (::chmod(path.c_str(), 0711) != 0) return system_error(errno, fmt::format("change the mode of {}", path));
    scratch.lock = Fd(::open((path + "/lock").c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (!scratch.lock || ::flock(scratch.lock.get(), LOCK_EX) != 0)
        return system_error(errno, fmt::format("lock {}/lock", path));
    return scratch;
}

Status remember_cgroups(const Scratch& scratch, const std::vector<std::string>& directories) {
    return write_file_atomically(scratch.path + "/cgroups", joined(directories, "\n"), 0600);
}

Status remove_scratch(const Scratch& scratch) {
    const Fd base(::open(scratch.base.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!base) return system_error(errno, fmt::format("open {}", scratch.base));
    return remove_below(base.get(), scratch.id.c_str(), scratch.path);
}

}  // namespace ctl::cli
