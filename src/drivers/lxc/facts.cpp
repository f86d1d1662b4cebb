#include "drivers/lxc/facts.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <charconv>
#include <optional>

#include <fmt/format.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/process.h"
#include "base/text.h"
#include "drivers/lxc/limits.h"

namespace ctl::drivers::lxc {

namespace {

Fd open_inside(const Fd& root, const char* path) {
    open_how how{};
    how.flags = O_PATH | O_CLOEXEC;
    how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
    return Fd(static_cast<int>(::syscall(SYS_openat2, root.get(), path, &how, sizeof how)));
}

std::string base_name_of(const Fd& fd) {
    char path[4096];
    const ssize_t size = ::readlink(fmt::format("/proc/self/fd/{}", fd.get()).c_str(), path, sizeof path);
    if (size <= 0) return {};
    const std::string_view whole(path, static_cast<std::size_t>(size));
    return std::string(whole.substr(whole.rfind('/') + 1));
}

bool is_same_file(const Fd& a, const Fd& b) {
    struct stat first {};
    struct stat second {};
    return a && b && ::fstat(a.get(), &first) == 0 && ::fstat(b.get(), &second) == 0 && first.st_ino == second.st_ino &&
           first.st_dev == second.st_dev;
}

std::optional<int> number(std::string_view text) {
    int value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    return error == std::errc() && end == text.data() + text.size() ? std::optional(value) : std::nullopt;
}

std::optional<int> signal_number(std::string_view name) {
    const auto in_range = [](std::optional<int> signal) { return signal && *signal > 0 && *signal <= SIGRTMAX; };
    if (const auto plain = number(name); in_range(plain)) return plain;
    if (name.starts_with("SIGRTMIN+")) {
        auto signal = number(name.substr(9));
        if (signal) *signal += SIGRTMIN;
        return in_range(signal) ? signal : std::nullopt;
    }
    if (!name.starts_with("SIG")) return std::nullopt;
    for (int signal = 1; signal < SIGSYS + 1; ++signal) {
        const char* abbreviation = ::sigabbrev_np(signal);
        if (abbreviation != nullptr && name.substr(3) == abbreviation) return signal;
    }
    return std::nullopt;
}

}  // namespace

std::string apparmor_profile() {
    const auto enabled = read_file("/sys/module/apparmor/parameters/enabled", 16);
    if (!enabled || !enabled->starts_with('Y')) return {};
    const bool can_load = ::access("/sys/kernel/security/apparmor/features", F_OK) == 0 && find_program("apparmor_parser");
    return can_load ? "generated" : "unconfined";
}

ConfigFacts find_facts(const model::Container& container, const Cgroups& cgroups) {
    ConfigFacts facts;
    facts.seccomp = ::access("/usr/share/lxc/config/common.seccomp", R_OK) == 0;
    facts.apparmor = apparmor_profile();
    facts.unified = cgroups.unified_controllers();
    if (container.disk_weight) facts.disk_weight_file = disk_weight_file(cgroups);
    if (container.swap_limit) facts.swap_accounting = counts_swap(cgroups);
    if (container.rootfs) facts.halt_signal = halt_signal_of(*container.rootfs);
    if (container.mounts)
        for (const auto& [target, text] : *container.mounts) {
            const auto mount = parse_mount(target, text);
            struct stat info {};
            if (mount && ::stat(mount->source.c_str(), &info) == 0 && !S_ISDIR(info.st_mode))
                facts.files.insert(mount->source);
        }
    return facts;
}

std::string halt_signal_of(const std::string& rootfs) {
    const Fd root(::open(rootfs.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!root) return {};
    const Fd init = open_inside(root, "/sbin/init");
    if (!init) return {};
    const std::string name = base_name_of(init);
    if (name == "systemd") return "SIGRTMIN+3";
    if (name.starts_with("busybox") || is_same_file(init, open_inside(root, "/bin/busybox"))) return "SIGUSR1";
    return {};
}

int halt_signal_in(std::string_view config) {
    int signal = SIGPWR;
    for (const auto line : split(config, '\n')) {
        const std::size_t equals = line.find('=');
        if (equals == std::string_view::npos || trimmed(line.substr(0, equals)) != "lxc.signal.halt") continue;
        signal = signal_number(trimmed(line.substr(equals + 1))).value_or(signal);
    }
    return signal;
}

}  // namespace ctl::drivers::lxc
