// ctl-lxc-mount add PID SOURCE TARGET OPTIONS   binds the host's SOURCE to TARGET in the container of process PID
// ctl-lxc-mount remove PID TARGET               takes it out again, now or when its last user is gone
// ctl-lxc-mount check SOURCE OPTIONS            fails where SOURCE could not be bound with its ids shifted
// OPTIONS: comma-separated words of model::Container::mounts, or "-". A program of its own because entering a mount
// namespace needs a process with a single thread. TARGET is looked up inside the container, and has no link on its way: the
// mount would be elsewhere.

#include <fcntl.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <sched.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
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

struct Flag {
    std::string_view option;
    std::uint64_t attribute;
};

constexpr Flag flags[] = {
    {"ro", MOUNT_ATTR_RDONLY}, {"nodev", MOUNT_ATTR_NODEV}, {"noexec", MOUNT_ATTR_NOEXEC}, {"nosuid", MOUNT_ATTR_NOSUID}};

struct Propagation {
    std::string_view option;
    std::uint64_t type;  ///< MS_SHARED and so on
};

constexpr std::uint64_t private_mount = 1U << 18;
constexpr std::uint64_t slave_mount = 1U << 19;
constexpr Propagation propagations[] = {{"shared", 1U << 20}, {"slave", slave_mount}, {"unbindable", 1U << 17}};

unsigned recursion(std::string_view options) { return has_option(options, "rbind") ? AT_RECURSIVE : 0; }

int set_attributes(int tree, mount_attr attributes, unsigned recursive) {
    return system_call(SYS_mount_setattr, tree, "", AT_EMPTY_PATH | recursive, &attributes, sizeof attributes);
}

int clone_tree(const std::string& source, std::string_view options) {
    return system_call(SYS_open_tree, AT_FDCWD, source.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | recursion(options));
}

bool set_flags(int tree, std::string_view options, int users) {
    mount_attr attributes{};
    for (const auto& flag : flags)
        if (has_option(options, flag.option)) attributes.attr_set |= flag.attribute;
    if (has_option(options, "shift")) {
        attributes.attr_set |= MOUNT_ATTR_IDMAP;
        attributes.userns_fd = static_cast<std::uint64_t>(users);
    }
    return set_attributes(tree, attributes, recursion(options)) == 0;
}

/// First it depends on the host's mount, or not even that: a peer of it would pass on to the host what is mounted inside.
bool set_propagation(int tree, std::string_view options) {
    for (const auto& propagation : propagations) {
        const std::string all = "r" + std::string(propagation.option);
        const bool recursive = has_option(options, all);
        if (!recursive && !has_option(options, propagation.option)) continue;
        mount_attr attributes{};
        attributes.propagation = slave_mount;
        if (set_attributes(tree, attributes, recursion(options)) != 0) return false;
        attributes.propagation = propagation.type;
        return set_attributes(tree, attributes, recursive ? recursion(options) : 0) == 0;
    }
    mount_attr attributes{};
    attributes.propagation = private_mount;
    return set_attributes(tree, attributes, recursion(options)) == 0;
}

int add(char** argv) {
    const std::string source = argv[1];
    const std::string target = argv[2];
    const std::string_view options = argv[3];
    Container container;
    if (!open_container(argv[0], container)) return fail("enter the container of process", argv[0]);

    const int tree = clone_tree(source, options);
    if (tree < 0 && errno == ENOENT && has_option(options, "optional")) return 0;
    if (tree < 0) return fail("open", source);
    const int users = ::open(("/proc/" + std::string(argv[0]) + "/ns/user").c_str(), O_RDONLY | O_CLOEXEC);
    if (users < 0) return fail("look at the ids of process", argv[0]);
    if (!set_flags(tree, options, users) || !set_propagation(tree, options)) return fail("set the options of", source);
    struct stat info {};
    if (::fstat(tree, &info) != 0) return fail("stat", source);

    if (::setns(container.mounts, CLONE_NEWNS) != 0) return fail("enter the mount namespace of process", argv[0]);
    const int at = make_target(container.root, target, S_ISDIR(info.st_mode), container.owner, container.group);
    if (at < 0) return fail(errno == ELOOP ? "follow no symbolic link on the way to" : "make the mount point", target);
    if (system_call(SYS_move_mount, tree, "", at, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) != 0)
        return fail("mount on", target);
    return 0;
}

bool write_file(const std::string& path, std::string_view text) {
    const int fd = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
    const bool written = fd >= 0 && ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
    if (fd >= 0) ::close(fd);
    return written;
}

/// A user namespace with some map; -1 when there can be none.
int open_some_users() {
    int ready[2];
    int done[2];
    if (::pipe2(ready, O_CLOEXEC) != 0 || ::pipe2(done, O_CLOEXEC) != 0) return -1;
    const pid_t child = ::fork();
    char byte = 0;
    if (child == 0) {
        ::close(done[1]);
        byte = ::unshare(CLONE_NEWUSER) == 0 ? '+' : '-';
        if (::write(ready[1], &byte, 1) == 1 && ::read(done[0], &byte, 1) < 0) ::_exit(1);
        ::_exit(0);
    }
    if (child < 0) return -1;
    const std::string proc = "/proc/" + std::to_string(child);
    int users = -1;
    if (::read(ready[0], &byte, 1) == 1 && byte == '+' && write_file(proc + "/uid_map", "0 100000 1") &&
        write_file(proc + "/gid_map", "0 100000 1"))
        users = ::open((proc + "/ns/user").c_str(), O_RDONLY | O_CLOEXEC);
    const int why = errno;
    ::close(done[1]);
    ::waitpid(child, nullptr, 0);
    errno = why;
    return users;
}

int check(char** argv) {
    const std::string source = argv[0];
    const int users = open_some_users();
    if (users < 0) return fail("make a user namespace for", source);
    const int tree = clone_tree(source, argv[1]);
    if (tree < 0) return fail("open", source);
    return set_flags(tree, argv[1], users) ? 0 : fail("shift the ids of", source);
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
    if (verb == "check" && argc == 4) return check(argv + 2);
    std::fputs("usage: ctl-lxc-mount add PID SOURCE TARGET OPTIONS | remove PID TARGET | check SOURCE OPTIONS\n", stderr);
    return 64;
}
