#include "drivers/lxc/mounts.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "base/file.h"
#include "base/mount_words.h"
#include "base/text.h"
#include "base/tree.h"
#include "drivers/lxc/config_file.h"
#include "drivers/lxc/plug.h"

namespace ctl::drivers::lxc {

namespace {

std::string_view without_end_slash(std::string_view path) {
    while (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
    return path;
}

using Words = std::set<std::string, std::less<>>;

/// Mount points of a process → their options. The last mount on a place is the one that is seen.
std::map<std::string, Words> mount_points(pid_t process) {
    std::map<std::string, Words> points;
    const auto table = read_file(fmt::format("/proc/{}/mountinfo", process));
    if (!table) return points;
    for (const auto line : split(*table, '\n')) {
        const auto words = split(line, ' ');
        if (words.size() < 6) continue;
        const auto options = split(words[5], ',');
        points[fstab_unescaped(words[4])] = Words(options.begin(), options.end());
    }
    return points;
}

/// The directory of the host that holds the place at first, and the rest of the way.
std::pair<std::string, std::string> way_to(const model::Container& container, std::string_view path) {
    std::pair<std::string, std::string> way{container.rootfs.value_or("/"), path.substr(1)};
    if (!container.mounts) return way;
    // What a mount lies in comes before it.
    for (const auto& [target, text] : *container.mounts) {
        const std::string above = fmt::format("{}/", without_end_slash(target));
        if (!path.starts_with(above) || path.size() == above.size()) continue;
        if (const auto mount = parse_mount(target, text)) way = {mount->source, std::string(path.substr(above.size()))};
    }
    return way;
}

Status check_way(const model::Container& container, const std::string& path) {
    const auto [begin, rest] = way_to(container, path);
    const auto directory = open_directory(begin);
    if (!directory) return ok();
    const auto opened = open_beneath(directory->get(), rest, O_PATH, false);
    if (opened || opened.error().code() == ErrorCode::not_found) return ok();
    return Error(opened.error())
        .while_(fmt::format("looking for the place of {} below {}", ctl::quoted(path), begin))
        .hint("write the path without links, as it is in the container");
}

/// The words of mount_text behind the source.
std::string helper_options(const MountSpec& mount) {
    const std::string text = mount_text(mount);
    const std::size_t blank = text.find(' ');
    if (blank == std::string::npos) return "-";
    std::string options = text.substr(blank + 1);
    std::replace(options.begin(), options.end(), ' ', ',');
    return options;
}

}  // namespace

Status check_mounts(const std::string& helper, const model::Container& container) {
    if (!container.mounts) return ok();
    for (const auto& [target, text] : *container.mounts) {
        CTL_ASSIGN(const auto mount, parse_mount(target, text));
        if (!mount.shifted || ::access(mount.source.c_str(), F_OK) != 0) continue;
        if (auto shifts = run_helper({helper, "check", mount.source, helper_options(mount)}); !shifts)
            return Error(ErrorCode::unsupported, fmt::format("disk {} can't have its ids shifted: {}", ctl::quoted(target),
                                                             shifts.error().message()))
                .hint("take out shift: true, or have the files on a file system that can: ext4, btrfs, xfs, tmpfs");
    }
    return ok();
}

Status check_mount_points(const model::Container& container) {
    if (container.mounts)
        for (const auto& mount : *container.mounts) CTL_TRY(check_way(container, mount.first));
    if (container.devices)
        for (const auto& device : *container.devices) CTL_TRY(check_way(container, device.first));
    return ok();
}

Mounts present_mounts(pid_t init, const Mounts& expected) {
    if (expected.empty()) return {};
    const auto points = mount_points(init);
    Mounts present;
    for (const auto& [target, text] : expected) {
        auto mount = parse_mount(target, text);
        if (!mount) continue;
        const auto point = points.find(std::string(without_end_slash(target)));
        if (point == points.end()) {
            if (mount->optional && ::access(mount->source.c_str(), F_OK) != 0) present.emplace(target, text);
            continue;
        }
        const Words& options = point->second;
        mount->read_only = mount->read_only && options.contains("ro");
        mount->shifted = mount->shifted && options.contains("idmapped");
        std::erase_if(mount->flags, [&](const auto& flag) { return !options.contains(flag); });
        present.emplace(target, mount_text(*mount));
    }
    return present;
}

Status replug_mounts(const std::string& helper, pid_t init, const Mounts& from, const Mounts& to) {
    const std::string pid = std::to_string(init);
    // Deeper ones sort after what they lie in: they go first and come last.
    for (auto it = from.rbegin(); it != from.rend(); ++it)
        if (!keeps(to, *it)) CTL_TRY(run_helper({helper, "remove", pid, std::string(without_end_slash(it->first))}));
    for (const auto& entry : to) {
        if (keeps(from, entry)) continue;
        CTL_ASSIGN(const auto mount, parse_mount(entry.first, entry.second));
        CTL_TRY(run_helper(
            {helper, "add", pid, mount.source, std::string(without_end_slash(mount.target)), helper_options(mount)}));
    }
    return ok();
}

}  // namespace ctl::drivers::lxc
