#include "drivers/lxc/config_file.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>

#include "base/id_map.h"
#include "base/mount_words.h"
#include "base/text.h"
#include "drivers/lxc/devices.h"
#include "drivers/lxc/limits.h"
#include "drivers/lxc/own_lines.h"

namespace ctl::drivers::lxc {

namespace {

using model::Container;

constexpr std::string_view raw_heading = "# raw.lxc";
constexpr std::string_view mark_start = "# ctl:";
/// The next line says for liblxc what a comment above says for us.
constexpr std::string_view follows = "#>";

bool has_control(std::string_view text) {
    return std::any_of(text.begin(), text.end(), [](unsigned char c) { return (c < 0x20 && c != '\t') || c == 0x7f; });
}

Status check_line(std::string_view what, std::string_view text) {
    if (has_control(text))
        return Error(ErrorCode::invalid, fmt::format("{} {} has a control character", what, ctl::quoted(text)));
    if (trimmed(text).size() != text.size())
        return Error(ErrorCode::invalid,
                     fmt::format("{} {} begins or ends with a blank, which liblxc drops", what, ctl::quoted(text)));
    return ok();
}

std::string_view cgroup_prefix(const ConfigFacts& facts, const std::string& controller) {
    return facts.unified.contains(controller) ? "lxc.cgroup2." : "lxc.cgroup.";
}

/// The lines that depend on nothing but the container's name and whether it is privileged.
std::vector<std::string> standard_lines(const ConfigPlace& place, const ConfigFacts& facts, bool privileged) {
    std::vector<std::string> lines{
        fmt::format("lxc.uts.name = {}", place.name),
        "lxc.autodev = 1",
        "lxc.tty.max = 0",
        "lxc.pty.max = 1024",
        fmt::format("lxc.mount.auto = cgroup:mixed {}", privileged ? "proc:mixed sys:mixed" : "proc:rw sys:rw"),
        fmt::format("lxc.console.logfile = {}/containers/{}.console", place.run_dir, place.name),
        "lxc.console.size = 131072",
        fmt::format("lxc.cgroup.dir.container = ctl/{}/payload", place.name),
        fmt::format("lxc.cgroup.dir.monitor = ctl/{}/monitor", place.name),
        "lxc.cgroup.dir.container.inner = ns",
        fmt::format("lxc.namespace.share.net = {}/namespaces/{}/net", place.run_dir, place.name),
    };
    if (!facts.apparmor.empty()) lines.push_back(fmt::format("lxc.apparmor.profile = {}", facts.apparmor));
    if (!facts.halt_signal.empty()) lines.push_back(fmt::format("lxc.signal.halt = {}", facts.halt_signal));
    if (privileged) {
        lines.emplace_back("lxc.cap.drop = mac_admin mac_override sys_time sys_module sys_rawio");
        const auto prefix = cgroup_prefix(facts, "devices");
        lines.push_back(fmt::format("{}devices.deny = a", prefix));
        for (const auto* device : standard_devices) lines.push_back(fmt::format("{}devices.allow = {}", prefix, device));
    } else {
        lines.push_back(fmt::format("lxc.namespace.share.user = {}/namespaces/{}/user", place.run_dir, place.name));
    }
    return lines;
}

constexpr std::string_view common_policy = "/usr/share/lxc/config/common.seccomp";

std::string policy_line(std::string_view path) { return fmt::format("lxc.seccomp.profile = {}", path); }

/// All lines that any host would have added.
std::set<std::string> all_standard_lines(const ConfigPlace& place, bool privileged) {
    std::set<std::string> lines;
    const ConfigFacts one{.seccomp = true, .unified = {}, .apparmor = "generated", .halt_signal = "SIGUSR1"};
    const ConfigFacts other{.seccomp = true, .unified = {"devices"}, .apparmor = "unconfined", .halt_signal = "SIGRTMIN+3"};
    for (const auto& facts : {one, other})
        for (auto& line : standard_lines(place, facts, privileged)) lines.insert(std::move(line));
    for (const auto& path : {std::string(common_policy), seccomp_path(place)}) lines.insert(policy_line(path));
    return lines;
}

class Writer {
public:
    void line(std::string_view key, std::string_view value) { text_ += fmt::format("{} = {}\n", key, value); }
    void text(std::string_view lines) { text_ += lines; }
    void whole(std::string_view text) { text_ += fmt::format("{}\n", text); }
    [[nodiscard]] std::string take() { return std::move(text_); }

private:
    std::string text_;
};

Status write_idmap(Writer& out, const std::string& idmap) {
    if (idmap == "none") return ok();
    CTL_ASSIGN(const auto map, IdMap::parse(idmap));
    // Without a word of its own no container is privileged.
    if (!map) return Error(ErrorCode::invalid, "the container has no id map");
    for (const char* kind : {"u", "g"}) out.line("lxc.idmap", fmt::format("{} {}", kind, map->line()));
    return ok();
}

Status write_environment(Writer& out, const std::map<std::string, std::string>& environment) {
    for (const auto& [key, value] : environment) {
        if (key.empty() || key.find('=') != std::string::npos)
            return Error(ErrorCode::invalid, fmt::format("environment name {} is not usable", ctl::quoted(key)));
        const std::string line = key + "=" + value;
        CTL_TRY(check_line("environment variable", line));
        out.line("lxc.environment", line);
    }
    return ok();
}

constexpr std::array propagations{"shared", "rshared", "slave", "rslave", "unbindable", "runbindable"};
constexpr std::array mount_flags{"nodev", "noexec", "nosuid"};

bool is_one_of(const auto& words, std::string_view word) {
    return std::find(words.begin(), words.end(), word) != words.end();
}

std::string id_shift(const ConfigPlace& place) {
    return fmt::format("idmap={}/namespaces/{}/user", place.run_dir, place.name);
}

Status write_mounts(Writer& out, const std::map<std::string, std::string>& mounts, const ConfigPlace& place,
                    const ConfigFacts& facts) {
    for (const auto& [target, text] : mounts) {
        CTL_ASSIGN(const auto mount, parse_mount(target, text));
        std::string options = mount.recursive ? "rbind" : "bind";
        if (mount.read_only) options += ",ro";
        if (mount.optional) options += ",optional";
        for (const auto& flag : mount.flags) options += "," + flag;
        if (mount.shifted) options += "," + id_shift(place);
        // What the host mounts in there later would pass in, were nothing said.
        options += mount.propagation.empty() ? (mount.recursive ? ",rprivate" : ",private") : "," + mount.propagation;
        options += facts.files.contains(mount.source) ? ",create=file" : ",create=dir";
        out.line("lxc.mount.entry", fmt::format("{} {} none {} 0 0", fstab_escaped(mount.source),
                                                fstab_escaped(std::string_view(target).substr(1)), options));
    }
    return ok();
}

struct Line {
    std::string_view key;
    std::string_view value;
    [[nodiscard]] std::string str() const { return fmt::format("{} = {}", key, value); }
};

bool read_mount(std::string_view value, const ConfigPlace& place, Container& container) {
    std::vector<std::string_view> words;
    for (const auto word : split(value, ' '))
        if (!word.empty()) words.push_back(word);
    if (words.size() != 6 || words[2] != "none" || words[4] != "0" || words[5] != "0") return false;
    MountSpec mount;
    mount.source = fstab_unescaped(words[0]);
    mount.target = "/" + fstab_unescaped(words[1]);
    bool bound = false;
    bool creates = false;
    for (const auto option : split(words[3], ',')) {
        if (option == "bind" || option == "rbind") {
            bound = true;
            mount.recursive = option == "rbind";
        } else if (option == "ro") {
            mount.read_only = true;
        } else if (option == "optional") {
            mount.optional = true;
        } else if (option == "create=dir" || option == "create=file") {
            creates = true;
        } else if (is_one_of(mount_flags, option)) {
            mount.flags.emplace(option);
        } else if (is_one_of(propagations, option)) {
            mount.propagation = option;
        } else if (option == id_shift(place)) {
            mount.shifted = true;
        } else if (option == "private" || option == "rprivate") {
            continue;
        } else {
            return false;
        }
    }
    if (!bound || !creates || container.mounts->contains(mount.target)) return false;
    const std::string text = mount_text(mount);
    if (!parse_mount(mount.target, text)) return false;
    container.mounts->emplace(mount.target, text);
    return true;
}

template <typename T>
bool set_once(std::optional<T>& field, std::optional<T> value) {
    if (field || !value) return false;
    field = std::move(value);
    return true;
}

std::optional<bool> flag(std::string_view text) {
    return text == "1" ? std::optional(true) : text == "0" ? std::optional(false) : std::nullopt;
}

/// True if the line is one of ours and its field had no value yet.
bool read_field(const Line& line, const ConfigPlace& place, Container& container) {
    if (line.key == "lxc.rootfs.path" && line.value.starts_with("dir:"))
        return set_once(container.rootfs, std::optional(std::string(line.value.substr(4))));
    if (line.key == "lxc.environment") {
        const std::size_t equals = line.value.find('=');
        if (equals == std::string_view::npos || equals == 0) return false;
        return container.environment->emplace(line.value.substr(0, equals), line.value.substr(equals + 1)).second;
    }
    if (line.key == "lxc.mount.entry") return read_mount(line.value, place, container);
    if (line.key == "lxc.start.auto") return set_once(container.autostart, flag(line.value));
    if (line.key == "lxc.start.order") return set_once(container.autostart_priority, parse_number(line.value));
    if (line.key == "lxc.start.delay") return set_once(container.autostart_delay, parse_number(line.value));
    return read_limit(line.key, line.value, container);
}

/// The id map if users and groups have the same single range.
std::optional<std::string> common_idmap(const std::vector<Line>& maps) {
    if (maps.empty()) return "none";
    if (maps.size() != 2 || !maps[0].value.starts_with("u ") || !maps[1].value.starts_with("g ")) return std::nullopt;
    if (maps[0].value.substr(2) != maps[1].value.substr(2)) return std::nullopt;
    std::string idmap(maps[0].value.substr(2));
    std::replace(idmap.begin(), idmap.end(), ' ', ':');
    return idmap;
}

}  // namespace

Status check_path(std::string_view what, std::string_view path) {
    if (!path.starts_with('/'))
        return Error(ErrorCode::invalid, fmt::format("{} {} is not an absolute path", what, ctl::quoted(path)));
    if (has_control(path))
        return Error(ErrorCode::invalid, fmt::format("{} {} has a control character", what, ctl::quoted(path)));
    for (const auto part : split(path, '/'))
        if (part == "..") return Error(ErrorCode::invalid, fmt::format("{} {} steps up by \"..\"", what, ctl::quoted(path)));
    return ok();
}

std::string seccomp_path(const ConfigPlace& place) {
    return fmt::format("{}/containers/{}.seccomp", place.run_dir, place.name);
}

Result<MountSpec> parse_mount(std::string_view target, std::string_view text) {
    const auto words = split(text, ' ');
    MountSpec mount{.source = fstab_unescaped(words.front()), .target = std::string(target)};
    for (std::size_t i = 1; i < words.size(); ++i) {
        if (words[i] == "ro") mount.read_only = true;
        else if (words[i] == "rbind") mount.recursive = true;
        else if (words[i] == "optional") mount.optional = true;
        else if (words[i] == "shift") mount.shifted = true;
        else if (is_one_of(propagations, words[i]) && mount.propagation.empty()) mount.propagation = words[i];
        else if (is_one_of(mount_flags, words[i])) mount.flags.emplace(words[i]);
        else
            return Error(ErrorCode::invalid,
                         fmt::format("mount {} has the unknown option {}", ctl::quoted(target), ctl::quoted(words[i])));
    }
    CTL_TRY(check_path("mount source", mount.source));
    CTL_TRY(check_path("mount target", target));
    if (target == "/") return Error(ErrorCode::invalid, "a mount can't be put over the root file system");
    return mount;
}

std::string mount_text(const MountSpec& mount) {
    std::string text = fstab_escaped(mount.source);
    if (mount.read_only) text += " ro";
    if (mount.recursive) text += " rbind";
    if (mount.optional) text += " optional";
    if (mount.shifted) text += " shift";
    if (!mount.propagation.empty()) text += " " + mount.propagation;
    for (const auto& flag : mount.flags) text += " " + flag;
    return text;
}

Result<std::string> render_config(const Container& container, std::string_view mark, const ConfigPlace& place,
                                  const ConfigFacts& facts) {
    if (!container.rootfs) return Error(ErrorCode::invalid, "the container has no root file system");
    CTL_TRY(check_line("mark", mark));
    CTL_TRY(check_path("root file system", *container.rootfs));
    CTL_TRY(check_line("root file system", *container.rootfs));
    const std::string idmap = container.idmap.value_or("none");

    Writer out;
    out.whole(fmt::format("# {}", mark));
    out.line("lxc.rootfs.path", "dir:" + *container.rootfs);
    CTL_TRY(write_idmap(out, idmap));
    for (const auto& line : standard_lines(place, facts, idmap == "none")) out.whole(line);
    if (container.seccomp && !container.seccomp->empty()) out.whole(policy_line(seccomp_path(place)));
    else if (!container.seccomp && facts.seccomp) out.whole(policy_line(common_policy));
    out.text(own_lines(container, {"seccomp", "kernel_modules", "stop_priority", "stop_timeout", "disk_limits"}));
    if (container.environment) CTL_TRY(write_environment(out, *container.environment));
    if (container.mounts) CTL_TRY(write_mounts(out, *container.mounts, place, facts));
    out.text(own_lines(container, {"devices"}));
    CTL_ASSIGN(const auto nodes, device_lines(container, place, cgroup_prefix(facts, "devices")));
    for (const auto line : split(nodes, '\n'))
        if (!line.empty()) out.whole(fmt::format("{}\n{}", follows, line));
    CTL_ASSIGN(const auto limits, limit_lines(container, facts));
    out.text(limits);
    if (container.autostart) out.line("lxc.start.auto", *container.autostart ? "1" : "0");
    if (container.autostart_priority) out.line("lxc.start.order", std::to_string(*container.autostart_priority));
    if (container.autostart_delay) out.line("lxc.start.delay", std::to_string(*container.autostart_delay));
    if (container.raw && !container.raw->empty()) {
        out.whole(raw_heading);
        for (const auto& line : *container.raw) {
            CTL_TRY(check_line("raw.lxc line", line));
            if (line.empty() || line.starts_with('#'))
                return Error(ErrorCode::invalid, fmt::format("raw.lxc line {} sets nothing", ctl::quoted(line)));
            out.whole(line);
        }
    }
    return out.take();
}

ParsedConfig parse_config(std::string_view text, const ConfigPlace& place) {
    ParsedConfig parsed;
    Container& container = parsed.container;
    container.environment.emplace();
    container.mounts.emplace();
    container.raw.emplace();
    if (text.starts_with(mark_start)) parsed.mark = std::string(trimmed(split(text, '\n').front().substr(2)));

    std::vector<Line> lines;
    std::vector<Line> maps;
    std::vector<std::string> verbatim;
    bool in_raw = false;
    bool is_said = false;
    for (const auto whole : split(text, '\n')) {
        const auto line = trimmed(whole);
        if (std::exchange(is_said, line == follows)) continue;
        if (line == raw_heading) in_raw = true;
        if (!in_raw && is_own_line(line)) static_cast<void>(read_own_line(line, container));
        if (line.empty() || line.starts_with('#')) continue;
        const std::size_t equals = line.find('=');
        if (in_raw || equals == std::string_view::npos) {
            verbatim.emplace_back(line);
            continue;
        }
        const Line pair{trimmed(line.substr(0, equals)), trimmed(line.substr(equals + 1))};
        (pair.key == "lxc.idmap" ? maps : lines).push_back(pair);
    }

    container.idmap = common_idmap(maps);
    if (!container.idmap)
        for (const auto& map : maps) container.raw->push_back(map.str());
    const auto standard = all_standard_lines(place, container.idmap == "none");
    for (const auto& line : lines)
        if (!read_field(line, place, container) && !standard.contains(line.str())) container.raw->push_back(line.str());
    container.raw->insert(container.raw->end(), verbatim.begin(), verbatim.end());
    return parsed;
}

std::string with_mark(std::string_view text, std::string_view mark) {
    if (text.starts_with(mark_start)) {
        const std::size_t end = text.find('\n');
        text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    }
    if (mark.empty()) return std::string(text);
    return fmt::format("# {}\n{}", mark, text);
}

}  // namespace ctl::drivers::lxc
