// ctl-lxc-mount add PID SOURCE TARGET OPTIONS   binds the host's SOURCE to TARGET in the container of process PID
// ctl-lxc-mount remove PID TARGET               takes it out again, now or when its last user is gone
// OPTIONS: comma-separated ro, rbind, optional, or "-". A program of its own because entering a mount namespace needs a
// process with a single thread. TARGET is looked up inside the container, and has no link on its way: the mount would be
// elsewhere.

#include <fcntl.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <sched.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

// <sys/mount.h> clashes with <linux/mount.h>.
extern "C" int umount2(const char* target, int flags) noexcept;

namespace {

constexpr int detach = 2;
constexpr int no_follow = 8;

int fail(const char* doing, const std::string& what) {
    std::fprintf(stderr, "%s %s: %s", doing, what.c_str(), std::strerror(errno));
    return 1;
}

int system_call(auto... arguments) { return static_cast<int>(::syscall(arguments...)); }

int open_inside(int root, const std::string& path, std::uint64_t flags) {
    open_how how{};
    how.flags = flags | O_CLOEXEC;
    how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS;
    return system_call(SYS_openat2, root, path.c_str(), &how, sizeof how);
}

/// The mount point, made with its parents when missing; the container's root owns what is made.
int make_target(int root, const std::string& target, bool directory, uid_t owner, gid_t group) {
    int at = open_inside(root, target, O_PATH);
    if (at >= 0 || errno != ENOENT) return at;
    ::setfsgid(group);
    ::setfsuid(owner);
    std::size_t end = 0;
    std::string done;
    at = open_inside(root, "/", O_PATH);
    while (at >= 0 && end != std::string::npos) {
        const std::size_t begin = target.find_first_not_of('/', end);
        if (begin == std::string::npos) break;
        end = target.find('/', begin);
        const std::string part = target.substr(begin, end == std::string::npos ? end : end - begin);
        const bool last = end == std::string::npos || target.find_first_not_of('/', end) == std::string::npos;
        const int made =
            last && !directory ? ::mknodat(at, part.c_str(), S_IFREG | 0644, 0) : ::mkdirat(at, part.c_str(), 0755);
        if (made != 0 && errno != EEXIST) {
            at = -1;
            break;
        }
        done += "/" + part;
        at = open_inside(root, done, O_PATH);
    }
    const int why = errno;
    ::setfsuid(0);
    ::setfsgid(0);
    errno = why;
    return at;
}

struct Container {
    int mounts = -1;
    int root = -1;
    uid_t owner = 0;
    gid_t group = 0;
};

bool open_container(const char* pid, Container& container) {
    const std::string proc = "/proc/" + std::string(pid);
    container.mounts = ::open((proc + "/ns/mnt").c_str(), O_RDONLY | O_CLOEXEC);
    container.root = ::open((proc + "/root").c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
    // Whoever owns the root directory is the container's root, in the host's numbers.
    struct stat root {};
    if (container.mounts < 0 || container.root < 0 || ::fstat(container.root, &root) != 0) return false;
    container.owner = root.st_uid;
    container.group = root.st_gid;
    return true;
}

bool has_option(std::string_view options, std::string_view option) {
    while (!options.empty()) {
        const std::size_t comma = options.find(',');
        if (options.substr(0, comma) == option) return true;
        if (comma == std::string_view::npos) return false;
        options.remove_prefix(comma + 1);
    }
    return false;
}

int add(char** argv) {
    const std::string source = argv[1];
    const std::string target = argv[2];
    const std::string_view options = argv[3];
    const unsigned recursive = has_option(options, "rbind") ? AT_RECURSIVE : 0;
    Container container;
    if (!open_container(argv[0], container)) return fail("enter the container of process", argv[0]);

    const int tree = system_call(SYS_open_tree, AT_FDCWD, source.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | recursive);
    if (tree < 0 && errno == ENOENT && has_option(options, "optional")) return 0;
    if (tree < 0) return fail("open", source);
    mount_attr attributes{};
    attributes.propagation = 1U << 18;  // MS_PRIVATE: what happens below it in the container stays there
    if (has_option(options, "ro")) attributes.attr_set = MOUNT_ATTR_RDONLY;
    if (system_call(SYS_mount_setattr, tree, "", AT_EMPTY_PATH | recursive, &attributes, sizeof attributes) != 0)
        return fail("set the options of", source);
    struct stat info {};
    if (::fstat(tree, &info) != 0) return fail("stat", source);

    if (::setns(container.mounts, CLONE_NEWNS) != 0) return fail("enter the mount namespace of process", argv[0]);
    const int at = make_target(container.root, target, S_ISDIR(info.st_mode), container.owner, container.group);
    if (at < 0) return fail(errno == ELOOP ? "follow no symbolic link on the way to" : "make the mount point", target);
    if (system_call(SYS_move_mount, tree, "", at, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) != 0)
        return fail("mount on", target);
    return 0;
}

int remove(char** argv) {
    const std::string target = argv[1];
    Container container;
    if (!open_container(argv[0], container)) return fail("enter the container of process", argv[0]);
    if (::setns(container.mounts, CLONE_NEWNS) != 0) return fail("enter the mount namespace of process", argv[0]);
    if (::fchdir(container.root) != 0 || ::chroot(".") != 0) return fail("enter the root of process", argv[0]);
    if (::umount2(target.c_str(), detach | no_follow) == 0 || errno == EINVAL || errno == ENOENT) return 0;
    return fail("unmount", target);
}

}  // namespace

int main(int argc, char** argv) {
    const std::string_view verb = argc > 1 ? argv[1] : "";
    if (verb == "add" && argc == 6) return add(argv + 2);
    if (verb == "remove" && argc == 4) return remove(argv + 2);
    std::fputs("usage: ctl-lxc-mount add PID SOURCE TARGET OPTIONS | remove PID TARGET\n", stderr);
    return 64;
}
