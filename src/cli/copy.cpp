#include "cli/copy.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>

#include <fmt/format.h>

#include "base/act_as.h"
#include "base/text.h"

namespace ctl::cli {

namespace {

constexpr int deepest = 256;  ///< directories inside each other; each holds descriptors
constexpr mode_t permissions = 0777;
constexpr mode_t set_ids = 07000;

/// A path below `root`, or anywhere on the host where that is -1.
Fd open_at(int root, const std::string& path, std::uint64_t flags) {
    open_how how{};
    how.flags = flags | O_CLOEXEC;
    if (root >= 0) how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
    return Fd(static_cast<int>(::syscall(SYS_openat2, root >= 0 ? root : AT_FDCWD, path.c_str(), &how, sizeof how)));
}

/// What was looked at by a descriptor, opened: nobody can have put another thing in its place.
Fd open_again(const Fd& seen, int flags) {
    return Fd(::open(fmt::format("/proc/self/fd/{}", seen.get()).c_str(), flags | O_CLOEXEC));
}

Status copy_bytes(int from, int to, const std::string& what) {
    std::vector<char> buffer(std::size_t{1} << 18);
    while (true) {
        const ssize_t size = ::read(from, buffer.data(), buffer.size());
        if (size < 0 && errno == EINTR) continue;
        if (size < 0) return system_error(errno, fmt::format("read {}", escaped(what)));
        if (size == 0) return ok();
        for (ssize_t done = 0; done < size;) {
            const ssize_t put = ::write(to, buffer.data() + done, static_cast<std::size_t>(size - done));
            if (put < 0 && errno == EINTR) continue;
            if (put < 0) return system_error(errno, fmt::format("write {}", escaped(what)));
            done += put;
        }
    }
}

/// A directory and a name in it.
struct Place {
    Fd directory;
    std::string name;
};

std::string last_part(const std::string& path) {
    const std::size_t end = path.find_last_not_of('/');
    if (end == std::string::npos) return {};
    const std::size_t begin = path.rfind('/', end);
    return path.substr(begin == std::string::npos ? 0 : begin + 1, end - (begin == std::string::npos ? 0 : begin + 1) + 1);
}

std::string without_last_part(const std::string& path) {
    const std::size_t end = path.find_last_not_of('/');
    const std::size_t begin = end == std::string::npos ? std::string::npos : path.rfind('/', end);
    if (begin == std::string::npos) return path.starts_with('/') ? "/" : ".";
    return path.substr(0, begin + 1);
}

/// Where a copy of something called `name` goes: into an existing directory, else under the path's own name.
Result<Place> find_place(int root, const std::string& path, const std::string& name) {
    Fd directory = open_at(root, path, O_PATH | O_DIRECTORY);
    if (directory && !name.empty() && name != "." && name != "..") return Place{std::move(directory), name};
    const std::string own_name = last_part(path);
    if (path.ends_with('/') || own_name.empty() || own_name == "." || own_name == "..")
        return system_error(directory ? EISDIR : errno, fmt::format("copy to {}", escaped(path)));
    Fd parent = open_at(root, without_last_part(path), O_PATH | O_DIRECTORY);
    if (!parent) return system_error(errno, fmt::format("copy to {}", escaped(path)));
    return Place{std::move(parent), own_name};
}

class Copier {
public:
    Copier(const IdMap& ids, const CopyOptions& options, bool inwards) : ids_(ids), options_(options), inwards_(inwards) {}

    Status copy(const Fd& source, const Fd& directory, const std::string& name, const std::string& path, int depth = 0) {
        struct stat info {};
        if (::fstat(source.get(), &info) != 0) return system_error(errno, fmt::format("look at {}", escaped(path)));
        if (S_ISREG(info.st_mode)) return copy_file(source, info, directory, name, path);
        if (S_ISDIR(info.st_mode)) return copy_directory(source, info, directory, name, path, depth);
        if (S_ISLNK(info.st_mode)) return copy_link(source, info, directory, name, path);
        copied_.skipped.push_back(path);
        return ok();
    }

    /// Built aside, so that nobody sees half of it and a link of that name is replaced rather than followed.
    Status put_file(int content, const struct stat& info, const Fd& directory, const std::string& name,
                    const std::string& path) {
        const std::string aside = fmt::format(".{}.ctl-cp-{}", name.substr(0, 200), ::getpid());
        const Fd made(::openat(directory.get(), aside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
        if (!made) return system_error(errno, fmt::format("make {}", escaped(path)));
        Status done = copy_bytes(content, made.get(), path);
        if (done) done = give(made.get(), info, path);
        if (done && ::renameat(directory.get(), aside.c_str(), directory.get(), name.c_str()) != 0)
            done = system_error(errno, fmt::format("make {}", escaped(path)));
        if (!done) ::unlinkat(directory.get(), aside.c_str(), 0);
        else ++copied_.files;
        return done;
    }

    [[nodiscard]] Copied take() { return std::move(copied_); }

private:
    struct Owner {
        uid_t uid;
        gid_t gid;
    };

    /// As the other side numbers them. Who has no number there leaves his files to root.
    [[nodiscard]] Owner owner_of(const struct stat& info) const {
        if (!inwards_) {
            if (!options_.archive) return {::geteuid(), ::getegid()};
            return {ids_.to_container(info.st_uid).value_or(0), ids_.to_container(info.st_gid).value_or(0)};
        }
        const auto root = [&] { return ids_.to_host(0).value_or(0); };
        const std::uint32_t uid = options_.archive ? info.st_uid : options_.uid;
        const std::uint32_t gid = options_.archive ? info.st_gid : options_.gid;
        return {ids_.to_host(uid).value_or(root()), ids_.to_host(gid).value_or(root())};
    }

    /// A container's set-id programs are nobody's but its own: outside they would be the host's root's.
    [[nodiscard]] mode_t mode_of(const struct stat& info) const {
        return info.st_mode & (inwards_ && options_.archive ? permissions | set_ids : permissions);
    }

    Status give(int fd, const struct stat& info, const std::string& path) const {
        const Owner owner = owner_of(info);
        const timespec times[2]{info.st_atim, info.st_mtim};
        if (::fchown(fd, owner.uid, owner.gid) != 0 || ::fchmod(fd, mode_of(info)) != 0 ||
            (options_.archive && ::futimens(fd, times) != 0))
            return system_error(errno, fmt::format("give {} its owner and mode", escaped(path)));
        return ok();
    }

    Status copy_file(const Fd& source, const struct stat& info, const Fd& directory, const std::string& name,
                     const std::string& path) {
        const Fd content = open_again(source, O_RDONLY | O_NONBLOCK);
        if (!content) return system_error(errno, fmt::format("read {}", escaped(path)));
        return put_file(content.get(), info, directory, name, path);
    }

    Status copy_link(const Fd& source, const struct stat& info, const Fd& directory, const std::string& name,
                     const std::string& path) {
        std::string target(4096, '\0');
        const ssize_t size = ::readlinkat(source.get(), "", target.data(), target.size());
        if (size <= 0) return system_error(errno, fmt::format("read {}", escaped(path)));
        target.resize(static_cast<std::size_t>(size));
        if (::symlinkat(target.c_str(), directory.get(), name.c_str()) != 0) {
            const bool freed = errno == EEXIST && ::unlinkat(directory.get(), name.c_str(), 0) == 0;
            if (!freed || ::symlinkat(target.c_str(), directory.get(), name.c_str()) != 0)
                return system_error(errno, fmt::format("make {}", escaped(path)));
        }
        const Owner owner = owner_of(info);
        static_cast<void>(::fchownat(directory.get(), name.c_str(), owner.uid, owner.gid, AT_SYMLINK_NOFOLLOW));
        ++copied_.files;
        return ok();
    }

    Status copy_directory(const Fd& source, const struct stat& info, const Fd& directory, const std::string& name,
                          const std::string& path, int depth) {
        if (depth > deepest) return Error(ErrorCode::invalid, fmt::format("{} is nested too deeply", escaped(path)));
        const bool is_new = ::mkdirat(directory.get(), name.c_str(), 0700) == 0;
        if (!is_new && errno != EEXIST) return system_error(errno, fmt::format("make {}", escaped(path)));
        const Fd made(::openat(directory.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
        if (!made) return system_error(errno, fmt::format("enter {}", escaped(path)));
        Fd listing = open_again(source, O_RDONLY | O_DIRECTORY);
        const std::unique_ptr<DIR, int (*)(DIR*)> entries(listing ? ::fdopendir(listing.get()) : nullptr, ::closedir);
        if (!entries) return system_error(errno, fmt::format("read {}", escaped(path)));
        static_cast<void>(listing.release());  // closed with the stream
        while (const dirent* entry = ::readdir(entries.get())) {
            const std::string child = static_cast<const char*>(entry->d_name);
            if (child == "." || child == "..") continue;
            const Fd seen(::openat(::dirfd(entries.get()), child.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
            if (!seen && errno == ENOENT) continue;
            if (!seen) return system_error(errno, fmt::format("look at {}/{}", escaped(path), escaped(child)));
            CTL_TRY(copy(seen, made, child, fmt::format("{}/{}", path, child), depth + 1));
        }
        // Last: its mode may forbid what had to be done in it.
        return is_new || options_.archive ? give(made.get(), info, path) : ok();
    }

    const IdMap& ids_;
    const CopyOptions& options_;
    const bool inwards_;
    Copied copied_;
};

}  // namespace

Result<Copied> copy_in(const std::string& from, const ContainerRoot& container, const std::string& to,
                       const CopyOptions& options) {
    for (const auto id : {options.uid, options.gid})
        if (!container.ids.to_host(id))
            return Error(ErrorCode::invalid, fmt::format("the container has no user or group {}", id));
    Copier copier(container.ids, options, true);
    const ActAs root(container.ids.to_host(0).value_or(0), container.ids.to_host(0).value_or(0));
    if (from == "-") {
        CTL_ASSIGN(const auto place, find_place(container.root.get(), to, ""));
        struct stat info {};
        info.st_mode = S_IFREG | 0644;
        CTL_TRY(copier.put_file(STDIN_FILENO, info, place.directory, place.name, to));
        return copier.take();
    }
    const Fd source = open_at(-1, from, O_PATH);
    if (!source) return system_error(errno, fmt::format("open {}", escaped(from)));
    CTL_ASSIGN(const auto place, find_place(container.root.get(), to, last_part(from)));
    CTL_TRY(copier.copy(source, place.directory, place.name, from));
    return copier.take();
}

Result<Copied> copy_out(const ContainerRoot& container, const std::string& from, const std::string& to,
                        const CopyOptions& options) {
    Copier copier(container.ids, options, false);
    const Fd source = open_at(container.root.get(), from, O_PATH);
    if (!source) return system_error(errno, fmt::format("open {} in the container", escaped(from)));
    if (to == "-") {
        struct stat info {};
        if (::fstat(source.get(), &info) != 0 || !S_ISREG(info.st_mode))
            return Error(ErrorCode::invalid, fmt::format("{} is not a plain file", ctl::quoted(from)));
        const Fd content = open_again(source, O_RDONLY | O_NONBLOCK);
        if (!content) return system_error(errno, fmt::format("read {}", escaped(from)));
        CTL_TRY(copy_bytes(content.get(), STDOUT_FILENO, from));
        return Copied{1, {}};
    }
    CTL_ASSIGN(const auto place, find_place(-1, to, last_part(from)));
    CTL_TRY(copier.copy(source, place.directory, place.name, from));
    return copier.take();
}

}  // namespace ctl::cli
