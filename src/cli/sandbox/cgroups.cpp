#include "cli/sandbox/cgroups.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <map>
#include <memory>
#include <thread>

#include "base/fd.h"
#include "base/file.h"
#include "base/text.h"
#include "cli/sandbox/mounts.h"

namespace ctl::cli {

namespace {

constexpr std::chrono::seconds removal_deadline{10};
/// liblxc strips this name from the cgroup of process 1 to find the place for its containers.
constexpr std::string_view leaf = "init.scope";

Status write_to(const std::string& path, std::string_view value) {
    const Fd file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
    if (!file || ::write(file.get(), value.data(), value.size()) < 0) {
        return system_error(errno, fmt::format("write {} to {}", quoted(value), path));
    }
    return ok();
}

/// Our own cgroup in each hierarchy: "cpu,cpuacct", "name=systemd" or "" → "/user.slice".
Result<std::map<std::string, std::string>> own_cgroups() {
    CTL_ASSIGN(const std::string text, read_file("/proc/self/cgroup"));
    std::map<std::string, std::string> own;
    for (const std::string_view line : split(text, '\n')) {
        const std::size_t first = line.find(':');
        const std::size_t second = line.find(':', first + 1);
        if (first == std::string_view::npos || second == std::string_view::npos) continue;
        own[std::string(line.substr(first + 1, second - first - 1))] = line.substr(second + 1);
    }
    return own;
}

bool is_same_hierarchy(const std::string& key, const std::string& super_options) {
    const auto options = split(super_options, ',');
    return std::ranges::all_of(split(key, ','),
                               [&](std::string_view word) { return std::ranges::count(options, word) != 0; });
}

/// The caller's own directory below a mount of version 1; the mount's top if it can't be seen there.
std::string own_directory(const Mount& mount, const std::string& cgroup) {
    if (cgroup == "/" || cgroup.starts_with("/..")) return mount.point;
    const std::string root = mount.root == "/" ? "" : mount.root;
    if (!is_within(cgroup, root)) return mount.point;
    return mount.point + cgroup.substr(root.size());
}

/// A new cpuset has no processors and no memory nodes, so that nothing can enter it.
Status fill_cpuset(const std::string& directory, const std::string& parent) {
    for (const char* file : {"cpuset.cpus", "cpuset.mems"}) {
        CTL_ASSIGN(const std::string value, read_file(fmt::format("{}/{}", parent, file)));
        CTL_TRY(write_to(fmt::format("{}/{}", directory, file), trimmed(value)));
    }
    return write_to(directory + "/cgroup.clone_children", "1");
}

Status make_one(SandboxCgroup& cgroup, const std::string& parent, const std::string& name) {
    cgroup.directory = fmt::format("{}/{}", parent, name);
    if (::mkdir(cgroup.directory.c_str(), 0755) != 0) {
        return system_error(errno, fmt::format("make cgroup {}", cgroup.directory));
    }
    if (!cgroup.unified && ::access((cgroup.directory + "/cpuset.cpus").c_str(), F_OK) == 0) {
        return fill_cpuset(cgroup.directory, parent);
    }
    return ok();
}

Result<std::vector<std::pair<SandboxCgroup, std::string>>> hierarchies_with_parents() {
    CTL_ASSIGN(const std::vector<Mount> mounts, read_mounts());
    CTL_ASSIGN(const auto own, own_cgroups());
    std::vector<std::pair<SandboxCgroup, std::string>> found;
    for (const Mount& mount : mounts) {
        if (!is_within(mount.point, "/sys/fs/cgroup")) continue;
        if (mount.type == "cgroup2") found.emplace_back(SandboxCgroup{mount.point, "", true, ""}, mount.point);
        if (mount.type != "cgroup") continue;
        for (const auto& [key, path] : own) {
            if (key.empty() || !is_same_hierarchy(key, mount.super_options)) continue;
            const std::string options = key.starts_with("name=") ? "none," + key : key;
            found.emplace_back(SandboxCgroup{mount.point, options, false, ""}, own_directory(mount, path));
        }
    }
    // Only what is on top of a mount point counts, and nothing of what a later mount on a folder above it hides.
    std::vector<std::pair<SandboxCgroup, std::string>> visible;
    for (auto it = found.rbegin(); it != found.rend(); ++it) {
        const bool hidden = std::ranges::any_of(
            visible, [&](const auto& above) { return is_within(it->first.mount_point, above.first.mount_point); });
        if (!hidden) visible.insert(visible.begin(), *it);
    }
    return visible;
}

struct DirCloser {
    void operator()(DIR* dir) const { ::closedir(dir); }
};

/// A frozen process does not even die of SIGKILL. Not every hierarchy can freeze, and a top can't: then there is no such
/// file.
void thaw(const std::string& directory) {
    for (const auto& [file, word] : {std::pair{"freezer.state", "THAWED"}, std::pair{"cgroup.freeze", "0"}}) {
        const std::string path = fmt::format("{}/{}", directory, file);
        if (::access(path.c_str(), W_OK) == 0) (void)write_to(path, word);
    }
}

/// The directories directly below one; none when it isn't there.
std::vector<std::string> directories_in(const std::string& directory) {
    std::vector<std::string> found;
    const std::unique_ptr<DIR, DirCloser> dir(::opendir(directory.c_str()));
    while (const dirent* entry = dir ? ::readdir(dir.get()) : nullptr) {
        const std::string_view name = entry->d_name;
        if (entry->d_type == DT_DIR && name != "." && name != "..") found.push_back(fmt::format("{}/{}", directory, name));
    }
    return found;
}

void thaw_tree(const std::string& directory) {
    thaw(directory);
    for (const std::string& below : directories_in(directory)) thaw_tree(below);
}

/// Removes what it can; true if the directory is gone.
bool remove_tree(const std::string& directory) {
    thaw(directory);
    for (const std::string& below : directories_in(directory)) remove_tree(below);
    return ::rmdir(directory.c_str()) == 0 || errno == ENOENT;
}

}  // namespace

Result<std::vector<SandboxCgroup>> make_cgroups(const std::string& name) {
    CTL_ASSIGN(const auto places, hierarchies_with_parents());
    if (places.empty()) {
        return Error(ErrorCode::unsupported, "no cgroup hierarchy is mounted below /sys/fs/cgroup");
    }
    std::vector<SandboxCgroup> made;
    for (const auto& [hierarchy, parent] : places) {
        made.push_back(hierarchy);
        if (Status status = make_one(made.back(), parent, name); !status) {
            std::vector<std::string> directories;
            for (const SandboxCgroup& cgroup : made) directories.push_back(cgroup.directory);
            if (Status removed = remove_cgroups(directories); !removed) {
                return std::move(status).error().caused_by(std::move(removed).error());
            }
            return std::move(status).error();
        }
    }
    return made;
}

Status enter_cgroups(const std::vector<SandboxCgroup>& cgroups) {
    for (const SandboxCgroup& cgroup : cgroups) CTL_TRY(write_to(cgroup.directory + "/cgroup.procs", "0"));
    return ok();
}

Status settle_cgroups(const std::vector<SandboxCgroup>& cgroups) {
    for (const SandboxCgroup& cgroup : cgroups) {
        if (!cgroup.unified) continue;
        const std::string inner = fmt::format("{}/{}", cgroup.directory, leaf);
        CTL_TRY(make_directory(inner, 0755));
        CTL_TRY(write_to(inner + "/cgroup.procs", "0"));
        CTL_ASSIGN(const std::string controllers, read_file(cgroup.directory + "/cgroup.controllers"));
        for (const std::string_view controller : split(trimmed(controllers), ' ')) {
            // A controller that can't be had is missed only by a container that has a limit of its kind.
            if (!controller.empty())
                (void)write_to(cgroup.directory + "/cgroup.subtree_control", fmt::format("+{}", controller));
        }
    }
    return ok();
}

void thaw_all(const std::vector<SandboxCgroup>& cgroups) {
    for (const SandboxCgroup& cgroup : cgroups) thaw_tree(cgroup.mount_point);
}

Status remove_cgroups(const std::vector<std::string>& directories) {
    const auto deadline = std::chrono::steady_clock::now() + removal_deadline;
    std::vector<std::string> left = directories;
    for (auto pause = std::chrono::milliseconds{1};; pause = std::min(pause * 2, std::chrono::milliseconds{100})) {
        std::erase_if(left, [](const std::string& directory) { return remove_tree(directory); });
        if (left.empty()) return ok();
        if (std::chrono::steady_clock::now() > deadline) break;
        std::this_thread::sleep_for(pause);
    }
    return Error(ErrorCode::io, fmt::format("cgroups still in use: {}", joined(left, ", ")));
}

}  // namespace ctl::cli
