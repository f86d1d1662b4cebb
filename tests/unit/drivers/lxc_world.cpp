#include "lxc_world.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <vector>

#include <fmt/format.h>

namespace ctl::test {

namespace {

namespace fs = std::filesystem;

constexpr int skipped = 77;

void must(bool done, const std::string& doing) {
    if (!done) throw std::runtime_error(fmt::format("{}: {}", doing, std::strerror(errno)));
}

void put(const fs::path& path, const std::string& text) {
    const int fd = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
    must(fd >= 0, "open " + path.native());
    const bool done = ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
    ::close(fd);
    must(done, "write " + path.native());
}

std::string get(const fs::path& path) {
    std::ifstream in(path);
    std::string text;
    std::getline(in, text);
    return text;
}

constexpr const char* leaf = "init.scope";

/// A directory of our own in every hierarchy.
std::vector<fs::path> make_cgroups(const std::string& name) {
    std::vector<fs::path> made;
    std::vector<fs::path> hierarchies;
    if (fs::exists("/sys/fs/cgroup/cgroup.procs")) hierarchies.emplace_back("/sys/fs/cgroup");
    else
        for (const auto& entry : fs::directory_iterator("/sys/fs/cgroup"))
            if (fs::is_directory(entry) && !fs::is_symlink(entry)) hierarchies.push_back(entry.path());
    for (const auto& hierarchy : hierarchies) {
        const fs::path own = hierarchy / name;
        fs::create_directory(own);
        made.push_back(own);
        // On version 1 a new cpuset is empty and takes no process.
        for (const char* file : {"cpuset.cpus", "cpuset.mems"})
            if (fs::exists(own / file) && !fs::exists(own / "cgroup.controllers")) put(own / file, get(hierarchy / file));
        if (!fs::exists(own / "cgroup.controllers")) continue;
        // On version 2 only a leaf may have processes, once controllers are passed on: that of process 1, as systemd calls
        // it.
        fs::create_directory(own / leaf);
        std::istringstream controllers(get(own / "cgroup.controllers"));
        for (std::string one; controllers >> one;) put(own / "cgroup.subtree_control", "+" + one);
    }
    return made;
}

void enter(const fs::path& cgroup) { put((fs::exists(cgroup / leaf) ? cgroup / leaf : cgroup) / "cgroup.procs", "0"); }

void remove_cgroups(const std::vector<fs::path>& roots) {
    for (int tries = 0; tries < 500; ++tries) {
        bool left = false;
        for (const auto& root : roots) {
            std::vector<fs::path> dirs{root};
            std::error_code error;
            for (fs::recursive_directory_iterator it(root, error), end; !error && it != end; it.increment(error))
                if (it->is_directory(error)) dirs.push_back(it->path());
            for (auto it = dirs.rbegin(); it != dirs.rend(); ++it)
                if (::rmdir(it->c_str()) != 0 && errno != ENOENT) left = true;
        }
        if (!left) return;
        ::poll(nullptr, 0, 10);
    }
    std::fputs("cgroups of the test are left over\n", stderr);
}

/// A sysfs that shows our own network namespace, with the cgroups back in their place.
void mount_world() {
    must(::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0, "make mounts private");
    must(::mount("proc", "/proc", "proc", 0, nullptr) == 0, "mount /proc");
    must(::mount("run", "/run", "tmpfs", 0, "mode=755") == 0, "mount /run");
    fs::create_directories(scratch);
    fs::create_directories("/run/cgroup");
    must(::mount("/sys/fs/cgroup", "/run/cgroup", nullptr, MS_BIND | MS_REC, nullptr) == 0, "put the cgroups aside");
    must(::mount("sysfs", "/sys", "sysfs", 0, nullptr) == 0, "mount /sys");
    must(::mount("/run/cgroup", "/sys/fs/cgroup", nullptr, MS_BIND | MS_REC, nullptr) == 0, "put the cgroups back");
    must(::umount2("/run/cgroup", MNT_DETACH) == 0, "clear /run/cgroup");
}

int exit_code(int status) { return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status); }

/// Process 1 of the world: buries what loses its parent.
int bury_until(pid_t child) {
    while (true) {
        int status = 0;
        const pid_t ended = ::wait(&status);
        if (ended == child) return exit_code(status);
        if (ended < 0 && errno == ECHILD) return 1;
    }
}

int inside(const std::vector<fs::path>& cgroups, const std::function<int()>& tests) {
    for (const auto& cgroup : cgroups) enter(cgroup);
    must(::unshare(CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWPID) == 0, "unshare");
    const pid_t init = ::fork();
    if (init == 0) {
        mount_world();
        const pid_t child = ::fork();
        if (child == 0) std::exit(tests());
        ::_exit(bury_until(child));
    }
    int status = 0;
    ::waitpid(init, &status, 0);
    return exit_code(status);
}

}  // namespace

int run_in_own_world(const std::function<int()>& tests) {
    if (::geteuid() != 0) {
        std::puts("[skipped] containers need root");
        return skipped;
    }
    std::vector<fs::path> cgroups;
    int code = skipped;
    try {
        cgroups = make_cgroups(fmt::format("ctl-test-lxc-{}", ::getpid()));
        const pid_t child = ::fork();
        if (child == 0) {
            try {
                ::_exit(inside(cgroups, tests));
            } catch (const std::exception& fault) {
                std::printf("[skipped] containers can not be tried here: %s\n", fault.what());
                ::_exit(skipped);
            }
        }
        int status = 0;
        ::waitpid(child, &status, 0);
        code = exit_code(status);
    } catch (const std::exception& fault) {
        std::printf("[skipped] containers can not be tried here: %s\n", fault.what());
    }
    remove_cgroups(cgroups);
    return code;
}

void make_busybox_rootfs(const std::string& path, unsigned owner) {
    const fs::path root(path);
    for (const char* dir : {"bin", "sbin", "dev", "proc", "sys", "etc", "tmp", "run"}) fs::create_directories(root / dir);
    fs::copy_file("/usr/bin/busybox", root / "bin/busybox");
    for (const char* tool : {"sh", "cat", "sleep", "hostname", "mkdir", "touch", "ls", "kill", "true"})
        fs::create_symlink("busybox", root / "bin" / tool);
    fs::create_symlink("../bin/busybox", root / "sbin/init");
    std::ofstream(root / "etc/inittab") << "::respawn:/bin/sleep 100000\n";
    std::ofstream(root / "etc/passwd") << "root:x:0:0:root:/:/bin/sh\n";
    for (const auto& entry : fs::recursive_directory_iterator(root))
        must(::lchown(entry.path().c_str(), owner, owner) == 0, "chown");
    must(::lchown(root.c_str(), owner, owner) == 0, "chown");
}

void pin_namespaces(const std::string& run_dir, const std::string& name, const std::string& idmap) {
    const fs::path dir = fs::path(run_dir) / "namespaces" / name;
    fs::create_directories(dir);
    const bool shifted = idmap != "none";
    int to_child[2];
    int to_parent[2];
    must(::pipe2(to_child, O_CLOEXEC) == 0 && ::pipe2(to_parent, O_CLOEXEC) == 0, "pipe");
    const pid_t child = ::fork();
    char byte = 0;
    if (child == 0) {
        if (shifted && ::unshare(CLONE_NEWUSER) != 0) ::_exit(1);
        if (::write(to_parent[1], &byte, 1) != 1 || ::read(to_child[0], &byte, 1) != 1) ::_exit(1);
        if (::setresgid(0, 0, 0) != 0 || ::setresuid(0, 0, 0) != 0 || ::unshare(CLONE_NEWNET) != 0) ::_exit(1);
        if (::write(to_parent[1], &byte, 1) != 1 || ::read(to_child[0], &byte, 1) != 1) ::_exit(1);
        ::_exit(0);
    }
    must(::read(to_parent[0], &byte, 1) == 1, "wait for the namespace");
    const std::string proc = fmt::format("/proc/{}", child);
    if (shifted) {
        std::string map = idmap;
        for (auto& c : map)
            if (c == ':') c = ' ';
        put(proc + "/uid_map", map);
        put(proc + "/gid_map", map);
    }
    must(::write(to_child[1], &byte, 1) == 1 && ::read(to_parent[0], &byte, 1) == 1, "wait for the namespace");
    for (const char* kind : {"net", "user"}) {
        if (!shifted && std::strcmp(kind, "user") == 0) continue;
        std::ofstream(dir / kind).flush();
        must(::mount(fmt::format("{}/ns/{}", proc, kind).c_str(), (dir / kind).c_str(), nullptr, MS_BIND, nullptr) == 0,
             "pin");
    }
    must(::write(to_child[1], &byte, 1) == 1, "end the holder");
    ::waitpid(child, nullptr, 0);
    for (const int fd : {to_child[0], to_child[1], to_parent[0], to_parent[1]}) ::close(fd);
}

int count_cgroups(const std::string& name) {
    const std::string own = get("/proc/1/cgroup");
    std::string base = own.substr(own.rfind(':') + 1);
    if (const std::size_t at = base.find("/" + std::string(leaf)); at != std::string::npos) base.resize(at);
    int count = 0;
    std::vector<fs::path> roots{"/sys/fs/cgroup" + base};
    for (const auto& entry : fs::directory_iterator("/sys/fs/cgroup")) roots.push_back(entry.path().native() + base);
    for (const auto& root : roots) {
        std::error_code error;
        for (fs::recursive_directory_iterator it(root, error), end; !error && it != end; it.increment(error))
            if (it->path().filename() == name) ++count;
    }
    return count;
}

}  // namespace ctl::test
