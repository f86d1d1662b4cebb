#include "drivers/netlink/pins.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <thread>

#include "base/file.h"
#include "base/id_map.h"
#include "base/namespace_holder.h"
#include "base/text.h"

namespace ctl::drivers::netlink {

namespace {

constexpr std::size_t mark_file_limit = 4096;

bool is_namespace(const std::string& path) {
    struct statfs info {};
    return ::statfs(path.c_str(), &info) == 0 && info.f_type == NSFS_MAGIC;
}

Status pin(const std::string& from, const std::string& to) {
    const Fd file(::open(to.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0444));
    if (!file) return system_error(errno, "creating " + to);
    if (::mount(from.c_str(), to.c_str(), nullptr, MS_BIND, nullptr) != 0) return system_error(errno, "mounting on " + to);
    return ok();
}

Status unpin(const std::string& path) {
    // A pin can be mounted more than once on itself only by others; still nothing of it shall be left.
    while (::umount2(path.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) == 0) {
    }
    if (errno != EINVAL && errno != ENOENT) return system_error(errno, "unmounting " + path);
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) return system_error(errno, "removing " + path);
    return ok();
}

}  // namespace

Status Pins::prepare() const {
    for (std::size_t slash = root_.find('/', 1);; slash = root_.find('/', slash + 1)) {
        const std::string part = root_.substr(0, slash);
        if (::mkdir(part.c_str(), 0755) != 0 && errno != EEXIST) return system_error(errno, "creating " + part);
        if (slash == std::string::npos) break;
    }
    // A mount of its own that is shared: other mount namespaces (services, containers being started) that got a copy of a
    // pin lose it together with us. A private copy would keep a removed namespace and its links alive.
    if (::mount(nullptr, root_.c_str(), nullptr, MS_SHARED, nullptr) == 0) return ok();
    if (errno != EINVAL) return system_error(errno, "sharing the mount " + root_);
    if (::mount(root_.c_str(), root_.c_str(), nullptr, MS_BIND, nullptr) != 0)
        return system_error(errno, "mounting " + root_);
    if (::mount(nullptr, root_.c_str(), nullptr, MS_SHARED, nullptr) != 0)
        return system_error(errno, "sharing the mount " + root_);
    return ok();
}

std::optional<Pins::Pin> Pins::find(const std::string& name) const {
    const std::string net = dir(name) + "/net";
    struct stat info {};
    if (!is_namespace(net) || ::stat(net.c_str(), &info) != 0) return std::nullopt;
    Pin found{name, info.st_ino, {}, {}};
    if (const auto text = read_file(dir(name) + "/mark", mark_file_limit)) {
        const auto lines = split(*text, '\n');
        // A user namespace that is no longer mounted makes the whole unfinished.
        if (lines.size() >= 2 && (lines[1] == "none" || is_namespace(dir(name) + "/user"))) {
            found.mark = lines[0];
            found.idmap = lines[1];
        }
    }
    return found;
}

Result<std::vector<Pins::Pin>> Pins::list() const {
    std::vector<Pin> pins;
    const std::unique_ptr<DIR, int (*)(DIR*)> folder(::opendir(root_.c_str()), ::closedir);
    if (!folder && errno == ENOENT) return pins;
    if (!folder) return system_error(errno, "reading " + root_);
    while (const dirent* item = ::readdir(folder.get())) {
        if (item->d_name[0] == '.') continue;
        if (auto found = find(item->d_name)) pins.push_back(std::move(*found));
    }
    std::sort(pins.begin(), pins.end(), [](const Pin& a, const Pin& b) { return a.name < b.name; });
    return pins;
}

Result<Fd> Pins::open(const std::string& name) const {
    const std::string net = dir(name) + "/net";
    Fd fd(::open(net.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd) return system_error(errno, "opening " + net);
    return fd;
}

Status Pins::make(const std::string& name, const std::string& idmap) const {
    CTL_ASSIGN(const auto map, IdMap::parse(idmap));
    CTL_TRY(remove(name));
    if (::mkdir(dir(name).c_str(), 0755) != 0) return system_error(errno, "creating " + dir(name));
    CTL_ASSIGN(const auto holder, NamespaceHolder::start(map ? CLONE_NEWUSER | CLONE_NEWNET : CLONE_NEWNET));
    if (map) {
        CTL_TRY(holder->map_ids(map->line()));
        CTL_TRY(pin(holder->proc("ns/user"), dir(name) + "/user"));
    }
    return pin(holder->proc("ns/net"), dir(name) + "/net");
}

Status Pins::write_mark(const std::string& name, const std::string& mark, const std::string& idmap) const {
    return write_file_atomically(dir(name) + "/mark", mark + "\n" + idmap + "\n");
}

Status Pins::remove(const std::string& name) const {
    // In this order, so that a kill in between leaves something that is either marked as unfinished or not there.
    if (::unlink((dir(name) + "/mark").c_str()) != 0 && errno != ENOENT)
        return system_error(errno, "removing " + dir(name) + "/mark");
    CTL_TRY(unpin(dir(name) + "/net"));
    CTL_TRY(unpin(dir(name) + "/user"));
    if (::rmdir(dir(name).c_str()) == 0 || errno == ENOENT) return ok();
    if (errno != ENOTEMPTY) return system_error(errno, "removing " + dir(name));
    // An atomic write that was killed leaves its side file.
    const std::unique_ptr<DIR, int (*)(DIR*)> folder(::opendir(dir(name).c_str()), ::closedir);
    while (const dirent* item = folder ? ::readdir(folder.get()) : nullptr) {
        if (std::string_view(item->d_name) == "." || std::string_view(item->d_name) == "..") continue;
        (void)::unlinkat(::dirfd(folder.get()), item->d_name, 0);
    }
    if (::rmdir(dir(name).c_str()) != 0) return system_error(errno, "removing " + dir(name));
    return ok();
}

void in_own_thread(const std::function<void()>& work) { std::thread(work).join(); }

Status enter(const Fd& netns) {
    if (::setns(netns.get(), CLONE_NEWNET) != 0) return system_error(errno, "entering a network namespace");
    return ok();
}

}  // namespace ctl::drivers::netlink
