#include "drivers/lxc/devices.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <filesystem>

#include <fmt/format.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/id_map.h"
#include "base/mount_words.h"
#include "base/text.h"
#include "drivers/lxc/plug.h"

namespace ctl::drivers::lxc {

namespace {

namespace fs = std::filesystem;
using model::Container;

constexpr LimitFile devices_allow{"devices", "devices.allow", nullptr};
constexpr LimitFile devices_deny{"devices", "devices.deny", nullptr};

std::optional<std::uint32_t> parse_base(std::string_view text, int base) {
    std::uint32_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return value;
}

std::optional<std::pair<std::uint32_t, std::uint32_t>> parse_pair(std::string_view text) {
    const auto parts = split(text, ':');
    if (parts.size() != 2) return std::nullopt;
    const auto first = parse_base(parts[0], 10);
    const auto second = parse_base(parts[1], 10);
    return first && second ? std::optional(std::pair(*first, *second)) : std::nullopt;
}

/// One that can't be read has no ids at all.
IdMap ids_of(const Container& container) {
    const auto map = IdMap::parse(container.idmap.value_or("none"));
    return map ? map->value_or(IdMap::identity()) : IdMap();
}

/// The container's id on the host; absent when it has no such id.
std::optional<uid_t> on_host(const Container& container, std::uint32_t id) { return ids_of(container).to_host(id); }

std::string in_container(const Container& container, uid_t id) {
    return std::to_string(ids_of(container).to_container(id).value_or(65534));
}

std::string rule(const DeviceSpec& spec, dev_t numbers) {
    return fmt::format("{} {}:{} rwm", spec.block ? 'b' : 'c', major(numbers), minor(numbers));
}

/// Whether a privileged container may use the device anyhow, or for the sake of one of these.
bool stays_allowed(const DeviceSpec& spec, dev_t numbers, const Devices& others) {
    const std::string own = rule(spec, numbers);
    if (std::find(standard_devices.begin(), standard_devices.end(), own) != standard_devices.end()) return true;
    return std::any_of(others.begin(), others.end(), [&](const auto& other) {
        const auto parsed = parse_device(other.first, other.second);
        const auto same = parsed ? device_numbers(*parsed) : Result<dev_t>(Error(ErrorCode::not_found, ""));
        return same && rule(*parsed, *same) == own;
    });
}

bool is_missing(const DeviceSpec& spec) { return !spec.numbers && ::access(spec.source.c_str(), F_OK) != 0; }

Status make_node(const Container& container, const ConfigPlace& place, const std::string& path, const DeviceSpec& spec) {
    CTL_ASSIGN(const dev_t numbers, device_numbers(spec));
    const auto uid = on_host(container, spec.uid);
    const auto gid = on_host(container, spec.gid);
    if (!uid || !gid)
        return Error(ErrorCode::invalid,
                     fmt::format("device {}: the container has no id {}", ctl::quoted(path), !uid ? spec.uid : spec.gid));
    const std::string node = device_node(place, path);
    const std::string aside = node + ".new";
    ::unlink(aside.c_str());
    if (::mknod(aside.c_str(), (spec.block ? S_IFBLK : S_IFCHR) | 0600U, numbers) != 0 ||
        ::lchown(aside.c_str(), *uid, *gid) != 0 || ::chmod(aside.c_str(), spec.mode) != 0 ||
        ::rename(aside.c_str(), node.c_str()) != 0)
        return system_error(errno, fmt::format("make the device node {}", node));
    return ok();
}

std::string directory_of(const ConfigPlace& place) { return place.directory + "/devices"; }

Status prepare_directory(const Container& container, const ConfigPlace& place) {
    const std::string directory = directory_of(place);
    // liblxc passes through both with the container's ids. Nobody else gets at the nodes: their modes are for those inside.
    if (::mkdir(directory.c_str(), 0710) != 0 && errno != EEXIST)
        return system_error(errno, fmt::format("create {}", directory));
    if (::chown(directory.c_str(), 0, on_host(container, 0).value_or(0)) != 0 || ::chmod(directory.c_str(), 0710) != 0)
        return system_error(errno, fmt::format("close {} to others", directory));
    if (::chmod(place.directory.c_str(), 0711) != 0)
        return system_error(errno, fmt::format("open {} to others", place.directory));
    return ok();
}

// The cgroup inside may allow no more than the one around it.

Status allow(const Cgroups& cgroups, const std::string& name, const DeviceSpec& spec) {
    CTL_ASSIGN(const dev_t numbers, device_numbers(spec));
    CTL_TRY(cgroups.set(name, devices_allow, rule(spec, numbers)));
    return cgroups.set_inner(name, devices_allow, rule(spec, numbers));
}

Status deny(const Cgroups& cgroups, const std::string& name, const DeviceSpec& spec, const Devices& others) {
    CTL_ASSIGN(const dev_t numbers, device_numbers(spec));
    if (stays_allowed(spec, numbers, others)) return ok();
    CTL_TRY(cgroups.set_inner(name, devices_deny, rule(spec, numbers)));
    return cgroups.set(name, devices_deny, rule(spec, numbers));
}

struct Seen {
    dev_t numbers;
    unsigned mode;
    uid_t uid;
    gid_t gid;
    bool block;
};

std::optional<Seen> look(pid_t init, const std::string& path) {
    const Fd root(::open(fmt::format("/proc/{}/root", init).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    open_how how{};
    how.flags = O_PATH | O_CLOEXEC | O_NOFOLLOW;
    how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
    const Fd node(static_cast<int>(::syscall(SYS_openat2, root.get(), path.c_str(), &how, sizeof how)));
    struct stat info {};
    if (!root || !node || ::fstat(node.get(), &info) != 0) return std::nullopt;
    if (!S_ISCHR(info.st_mode) && !S_ISBLK(info.st_mode)) return std::nullopt;
    return Seen{info.st_rdev, info.st_mode & 07777U, info.st_uid, info.st_gid, S_ISBLK(info.st_mode)};
}

}  // namespace

Result<DeviceSpec> parse_device(std::string_view path, std::string_view text) {
    const auto fault = [&](std::string_view why) {
        return Error(ErrorCode::invalid, fmt::format("device {}: {} {}", ctl::quoted(path), ctl::quoted(text), why));
    };
    const auto words = split(text, ' ');
    if (words.size() < 4 || words.size() > 5 || (words[0] != "c" && words[0] != "b"))
        return fault("is not KIND NUMBERS MODE UID:GID");
    DeviceSpec spec;
    spec.block = words[0] == "b";
    if (words[1].starts_with('/')) spec.source = fstab_unescaped(words[1]);
    else if (const auto numbers = parse_pair(words[1])) spec.numbers = makedev(numbers->first, numbers->second);
    else return fault("names no device");
    const auto mode = parse_base(words[2], 8);
    const auto owner = parse_pair(words[3]);
    if (!mode || *mode > 07777 || !owner) return fault("has no good mode or owner");
    spec.mode = *mode;
    spec.uid = owner->first;
    spec.gid = owner->second;
    spec.optional = words.size() == 5;
    if (spec.optional && words[4] != "optional") return fault("ends with an unknown word");
    CTL_TRY(check_path("device", path));
    if (!spec.source.empty()) CTL_TRY(check_path("device", spec.source));
    return spec;
}

Result<dev_t> device_numbers(const DeviceSpec& spec) {
    if (spec.numbers) return *spec.numbers;
    struct stat info {};
    if (::stat(spec.source.c_str(), &info) != 0) return system_error(errno, fmt::format("look at device {}", spec.source));
    if (spec.block ? !S_ISBLK(info.st_mode) : !S_ISCHR(info.st_mode))
        return Error(ErrorCode::invalid,
                     fmt::format("{} is no {} device", ctl::quoted(spec.source), spec.block ? "block" : "character"));
    return info.st_rdev;
}

std::string device_node(const ConfigPlace& place, std::string_view path) {
    std::string name;
    for (const char c : path) {
        const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
        name += plain ? std::string(1, c) : fmt::format("-{:02x}", static_cast<unsigned char>(c));
    }
    return fmt::format("{}/{}", directory_of(place), name);
}

Result<std::string> device_lines(const Container& container, const ConfigPlace& place, std::string_view cgroup_prefix) {
    std::string lines;
    if (!container.devices) return lines;
    for (const auto& [path, text] : *container.devices) {
        CTL_ASSIGN(const auto spec, parse_device(path, text));
        const auto numbers = device_numbers(spec);
        if (!numbers) continue;
        if (container.idmap.value_or("none") == "none")
            lines += fmt::format("{}devices.allow = {}\n", cgroup_prefix, rule(spec, *numbers));
        lines += fmt::format("lxc.mount.entry = {} {} none bind,optional,create=file 0 0\n",
                             fstab_escaped(device_node(place, path)), fstab_escaped(path.substr(1)));
    }
    return lines;
}

Status check_devices(const Container& container) {
    if (!container.devices) return ok();
    for (const auto& [path, text] : *container.devices) {
        CTL_ASSIGN(const auto spec, parse_device(path, text));
        if (spec.optional && is_missing(spec)) continue;
        if (is_missing(spec))
            return Error(ErrorCode::not_found, fmt::format("device {} is not on the host", ctl::quoted(spec.source)))
                .hint("set required: false to go on without it until it is there");
        CTL_TRY(device_numbers(spec));
        for (const auto id : {spec.uid, spec.gid})
            if (!on_host(container, id))
                return Error(ErrorCode::invalid,
                             fmt::format("device {} shall be owned by {}, an id that the container doesn't have",
                                         ctl::quoted(path), id))
                    .hint("choose uid and gid below security.idmap.size");
    }
    return ok();
}

Status make_nodes(const Container& container, const ConfigPlace& place) {
    if (!container.devices || container.devices->empty()) return remove_nodes(place);
    CTL_TRY(prepare_directory(container, place));
    std::set<std::string> wanted;
    for (const auto& [path, text] : *container.devices) {
        CTL_ASSIGN(const auto spec, parse_device(path, text));
        if (spec.optional && is_missing(spec)) continue;
        CTL_TRY(make_node(container, place, path, spec));
        wanted.insert(device_node(place, path));
    }
    std::error_code error;
    for (fs::directory_iterator it(directory_of(place), error), end; !error && it != end; it.increment(error))
        if (!wanted.contains(it->path().native())) ::unlink(it->path().c_str());
    return ok();
}

Status remove_nodes(const ConfigPlace& place) {
    std::error_code error;
    fs::remove_all(directory_of(place), error);
    return error ? Status(system_error(error.value(), fmt::format("delete {}", directory_of(place)))) : ok();
}

Devices present_devices(pid_t init, const Container& container) {
    Devices present;
    if (!container.devices) return present;
    for (const auto& [path, text] : *container.devices) {
        const auto spec = parse_device(path, text);
        if (!spec) continue;
        const auto seen = look(init, path);
        if (!seen) {
            if (spec->optional && is_missing(*spec)) present.emplace(path, text);
            continue;
        }
        const auto numbers = device_numbers(*spec);
        const bool same = numbers && *numbers == seen->numbers && spec->block == seen->block && spec->mode == seen->mode &&
                          on_host(container, spec->uid) == seen->uid && on_host(container, spec->gid) == seen->gid;
        present.emplace(path, same ? text
                                   : fmt::format("{} {}:{} {:04o} {}:{}", seen->block ? "b" : "c", major(seen->numbers),
                                                 minor(seen->numbers), seen->mode, in_container(container, seen->uid),
                                                 in_container(container, seen->gid)));
    }
    return present;
}

Status replug_devices(const std::string& helper, pid_t init, const Devices& from, const Container& next,
                      const ConfigPlace& place, const Cgroups& cgroups) {
    const std::string pid = std::to_string(init);
    const bool privileged = next.idmap.value_or("none") == "none";
    const Devices to = next.devices.value_or(Devices());
    // Version 2 has no rules that could be changed: there liblxc's program was loaded with all that the container began
    // with.
    if (privileged && from != to && cgroups.is_unified("devices"))
        return Error(ErrorCode::unsupported,
                     "devices of a privileged container can't change while it runs on cgroup version 2")
            .hint("stop it first, or run with --restart");
    for (const auto& device : from) {
        if (keeps(to, device)) continue;
        CTL_TRY(run_helper({helper, "remove", pid, device.first}));
        CTL_ASSIGN(const auto spec, parse_device(device.first, device.second));
        if (privileged && !is_missing(spec)) CTL_TRY(deny(cgroups, place.name, spec, to));
    }
    CTL_TRY(make_nodes(next, place));
    for (const auto& device : to) {
        if (keeps(from, device)) continue;
        CTL_ASSIGN(const auto spec, parse_device(device.first, device.second));
        if (spec.optional && is_missing(spec)) continue;
        if (privileged) CTL_TRY(allow(cgroups, place.name, spec));
        CTL_TRY(run_helper({helper, "add", pid, device_node(place, device.first), device.first, "-"}));
    }
    return ok();
}

}  // namespace ctl::drivers::lxc
