#include "drivers/lxc/cgroups.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <filesystem>

#include <fmt/format.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/text.h"

namespace ctl::drivers::lxc {

namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

constexpr std::string_view mount_point = "/sys/fs/cgroup";
constexpr std::string_view init_scope = "/init.scope";
/// As our configs have it: lxc.cgroup.dir.container.inner.
constexpr std::string_view inner_cgroup = "payload/ns";

std::optional<std::string> read_line(const std::string& path) {
    auto content = read_file(path, 65536);
    if (!content) return std::nullopt;
    return std::string(trimmed(*content));
}

Status write_value(const std::string& path, std::string_view value) {
    const Fd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
    if (!fd || ::write(fd.get(), value.data(), value.size()) < 0)
        return system_error(errno, fmt::format("write {} to {}", ctl::quoted(value), path));
    return ok();
}

void pause_briefly() { ::poll(nullptr, 0, 2); }

std::vector<std::string> directories_below(const std::string& root) {
    std::vector<std::string> found;
    std::error_code error;
    if (!fs::is_directory(root, error)) return found;
    found.push_back(root);
    for (fs::recursive_directory_iterator it(root, error), end; !error && it != end; it.increment(error))
        if (it->is_directory(error) && !it->is_symlink(error)) found.push_back(it->path().native());
    return found;
}

std::set<pid_t> processes_below(const std::string& root) {
    std::set<pid_t> found;
    for (const auto& dir : directories_below(root)) {
        const auto pids = read_file(dir + "/cgroup.procs");
        if (!pids) continue;
        for (const auto line : split(*pids, '\n')) {
            pid_t pid = 0;
            if (std::from_chars(line.data(), line.data() + line.size(), pid).ec == std::errc() && pid > 1) found.insert(pid);
        }
    }
    return found;
}

/// A directory that is made the same way as a container's: the top of a hierarchy lacks some of what is below it.
std::vector<std::string> examples(const std::string& containers) {
    const fs::path around = fs::path(containers).parent_path();
    std::vector<std::string> found{containers, around.native()};
    std::error_code error;
    for (fs::directory_iterator it(around, error), end; !error && it != end; it.increment(error))
        if (it->is_directory(error)) {
            found.push_back(it->path().native());
            break;
        }
    return found;
}

}  // namespace

std::optional<std::int64_t> parse_number(std::string_view text) {
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || value < 0) return std::nullopt;
    return value;
}

Cgroups Cgroups::find() {
    Cgroups found;
    const auto lines = read_file("/proc/1/cgroup");
    if (!lines) return found;
    // "4:memory:/path", "0::/path" for version 2.
    for (const auto line : split(*lines, '\n')) {
        const auto first = line.find(':');
        const auto second = first == std::string_view::npos ? first : line.find(':', first + 1);
        if (second == std::string_view::npos) continue;
        std::string_view controllers = line.substr(first + 1, second - first - 1);
        std::string_view path = line.substr(second + 1);
        if (path.ends_with(init_scope)) path.remove_suffix(init_scope.size());

        Base base;
        base.unified = controllers.empty();
        std::string root;
        if (base.unified) {
            root = fmt::format("{}/unified", mount_point);
            if (::access((root + "/cgroup.controllers").c_str(), F_OK) != 0) root = mount_point;
        } else {
            if (controllers.starts_with("name=")) controllers.remove_prefix(5);
            root = fmt::format("{}/{}", mount_point, controllers);
            for (const auto controller : split(controllers, ',')) base.controllers.emplace(controller);
        }
        base.path = fmt::format("{}{}", root, path == "/" ? "" : path);
        if (::access((base.path + "/cgroup.procs").c_str(), F_OK) != 0) continue;
        if (base.unified) {
            const auto names = read_line(base.path + "/cgroup.controllers").value_or("");
            for (const auto name : split(names, ' '))
                if (!name.empty()) base.controllers.emplace(name);
            found.unified_ = base.controllers;
        }
        base.path += "/ctl";
        found.bases_.push_back(std::move(base));
    }
    // Device rules need no controller on version 2: there they are a program attached to the cgroup.
    if (found.base_of("devices") == nullptr) found.unified_.insert("devices");
    return found;
}

std::optional<std::string> Cgroups::whole_list(const Base& base, const std::string& file) {
    if (base.unified) return read_line(fmt::format("{}/{}.effective", base.path, file));
    return read_line(fmt::format("{}/{}", fs::path(base.path).parent_path().native(), file));
}

const Cgroups::Base* Cgroups::base_of(const std::string& controller) const {
    for (const auto& base : bases_)
        if (base.controllers.contains(controller)) return &base;
    return nullptr;
}

bool Cgroups::has(const std::string& name) const {
    for (const auto& base : bases_)
        if (::access(fmt::format("{}/{}/payload", base.path, name).c_str(), F_OK) == 0) return true;
    return false;
}

bool Cgroups::offers(const LimitFile& file) const {
    const Base* base = base_of(file.controller);
    if (base == nullptr) return false;
    // Version 2 shows a controller's files only where it was asked for.
    if (base->unified) return file.v2 != nullptr;
    if (file.v1 == nullptr) return false;
    const auto places = examples(base->path);
    return std::any_of(places.begin(), places.end(),
                       [&](const auto& place) { return ::access(fmt::format("{}/{}", place, file.v1).c_str(), F_OK) == 0; });
}

std::string Cgroups::file_name(const LimitFile& file) const {
    const char* name = is_unified(file.controller) ? file.v2 : file.v1;
    return name != nullptr ? name : "";
}

std::optional<std::string> Cgroups::path_of(const std::string& name, const LimitFile& file, std::string_view cgroup) const {
    const Base* base = base_of(file.controller);
    const std::string file_in_it = file_name(file);
    if (base == nullptr || file_in_it.empty()) return std::nullopt;
    return fmt::format("{}/{}/{}/{}", base->path, name, cgroup, file_in_it);
}

std::optional<std::string> Cgroups::value(const std::string& name, const LimitFile& file) const {
    const auto path = path_of(name, file);
    return path ? read_line(*path) : std::nullopt;
}

std::optional<std::string> Cgroups::inner_value(const std::string& name, const LimitFile& file) const {
    const auto path = path_of(name, file, inner_cgroup);
    return path ? read_line(*path) : std::nullopt;
}

std::optional<std::string> Cgroups::inherited(const LimitFile& file) const {
    const Base* base = base_of(file.controller);
    if (base == nullptr) return std::nullopt;
    return read_line(fmt::format("{}/{}", fs::path(base->path).parent_path().native(), file_name(file)));
}

std::optional<std::string> Cgroups::cpu_set(const std::string& name, const std::optional<std::string>& written) const {
    const Base* base = base_of("cpuset");
    if (base == nullptr) return std::nullopt;
    auto list = read_line(fmt::format("{}/{}/payload/cpuset.cpus", base->path, name));
    if (!list || list->empty()) return std::nullopt;
    if (!written && list == whole_list(*base, "cpuset.cpus")) return std::nullopt;
    return list;
}

Status Cgroups::set(const std::string& name, const LimitFile& file, std::string_view value) const {
    const auto path = path_of(name, file);
    if (!path) return Error(ErrorCode::unsupported, fmt::format("this kernel has no {} cgroups", file.controller));
    return write_value(*path, value);
}

Status Cgroups::set_inner(const std::string& name, const LimitFile& file, std::string_view value) const {
    const auto path = path_of(name, file, inner_cgroup);
    if (!path) return Error(ErrorCode::unsupported, fmt::format("this kernel has no {} cgroups", file.controller));
    return write_value(*path, value);
}

Status Cgroups::set_below(const std::string& name, const LimitFile& file, std::string_view value) const {
    CTL_TRY(set(name, file, value));
    const fs::path path(path_of(name, file).value_or(""));
    for (const auto& directory : directories_below(path.parent_path().native()))
        CTL_TRY(write_value(fmt::format("{}/{}", directory, path.filename().native()), value));
    return ok();
}

Status Cgroups::set_list(const std::string& name, const LimitFile& file, const std::optional<std::string>& list) const {
    const Base* base = base_of(file.controller);
    if (base == nullptr)
        return list ? Status(Error(ErrorCode::unsupported, fmt::format("this kernel has no {} cgroups", file.controller)))
                    : ok();
    const std::string file_in_it = file_name(file);
    const std::string payload = fmt::format("{}/{}/payload", base->path, name);
    // While there are processes in it, a set is not made empty.
    const std::string wanted = list ? *list : whole_list(*base, file_in_it).value_or("");
    const auto write = [&](const std::string& directory) {
        return write_value(fmt::format("{}/{}", directory, file_in_it), wanted);
    };
    if (base->unified) return write(payload);
    // On version 1 a set must lie inside its parent's and hold its children's, so one of the two orders works for each side.
    const std::vector<std::string> wide_first = directories_below(payload);
    for (const auto& directory : wide_first) static_cast<void>(write(directory));
    for (auto it = wide_first.rbegin(); it != wide_first.rend(); ++it) CTL_TRY(write(*it));
    return ok();
}

bool Cgroups::is_frozen(const std::string& name) const {
    const Base* base = base_of("freezer");
    if (base != nullptr && !base->unified)
        return read_line(fmt::format("{}/{}/payload/freezer.state", base->path, name)).value_or("") == "FROZEN";
    for (const auto& unified : bases_)
        if (unified.unified) {
            const auto events = read_line(fmt::format("{}/{}/payload/cgroup.events", unified.path, name)).value_or("");
            return events.find("frozen 1") != std::string::npos;
        }
    return false;
}

Status Cgroups::set_frozen(const std::string& name, bool frozen) const {
    const Base* freezer = base_of("freezer");
    std::string file;
    if (freezer != nullptr && !freezer->unified) file = fmt::format("{}/{}/payload/freezer.state", freezer->path, name);
    for (const auto& base : bases_)
        if (file.empty() && base.unified) file = fmt::format("{}/{}/payload/cgroup.freeze", base.path, name);
    if (file.empty()) return Error(ErrorCode::unsupported, "this kernel can't freeze cgroups");
    const bool unified = file.ends_with("cgroup.freeze");
    const auto end = std::chrono::steady_clock::now() + 10s;
    while (std::chrono::steady_clock::now() < end) {
        CTL_TRY(write_value(file, unified ? (frozen ? "1" : "0") : (frozen ? "FROZEN" : "THAWED")));
        if (is_frozen(name) == frozen) return ok();
        pause_briefly();
    }
    return Error(ErrorCode::timeout, fmt::format("the processes did not {} within 10 s", frozen ? "freeze" : "thaw"));
}

bool Cgroups::is_alone(const std::string& name) const {
    return bases_.empty() || processes_below(fmt::format("{}/{}/payload", bases_.front().path, name)).size() <= 1;
}

std::set<pid_t> Cgroups::processes(const std::string& name) const {
    std::set<pid_t> found;
    for (const auto& base : bases_) found.merge(processes_below(fmt::format("{}/{}", base.path, name)));
    return found;
}

Status Cgroups::remove(const std::string& name) const {
    if (name.empty()) return ok();
    const auto end = std::chrono::steady_clock::now() + 10s;
    while (true) {
        const auto pids = processes(name);
        if (!pids.empty()) static_cast<void>(set_frozen(name, false));
        for (const pid_t pid : pids)
            if (pid != ::getpid()) ::kill(pid, SIGKILL);
        bool left = false;
        for (const auto& base : bases_) {
            auto dirs = directories_below(fmt::format("{}/{}", base.path, name));
            // A parent comes before its children in the list.
            for (auto it = dirs.rbegin(); it != dirs.rend(); ++it)
                if (::rmdir(it->c_str()) != 0 && errno != ENOENT) left = true;
        }
        if (!left) return ok();
        if (std::chrono::steady_clock::now() > end)
            return Error(ErrorCode::timeout,
                         fmt::format("processes in the cgroups of container {} can't be ended", ctl::quoted(name)));
        pause_briefly();
    }
}

void Cgroups::tidy() const {
    for (const auto& base : bases_) ::rmdir(base.path.c_str());
}

}  // namespace ctl::drivers::lxc
