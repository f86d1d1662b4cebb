#include "drivers/lxc/start.h"

#include <signal.h>
#include <unistd.h>

#include <chrono>

#include <fmt/format.h>

#include "base/file.h"
#include "base/process.h"
#include "base/text.h"
#include "drivers/lxc/devices.h"
#include "drivers/lxc/facts.h"
#include "drivers/lxc/modules.h"
#include "drivers/lxc/mounts.h"
#include "drivers/lxc/root_files.h"

namespace ctl::drivers::lxc {

namespace {

using namespace std::chrono_literals;

constexpr auto start_deadline = 60s;
constexpr std::chrono::seconds usual_patience = 10s;

/// busybox asks all processes to end and then sleeps for two seconds, whether any is left or not. Once it has been alone for
/// three looks there is nothing to wait for. Any other init may be busy on its own account.
class BusyboxHalt {
public:
    BusyboxHalt(const std::string& name, const Cgroups& cgroups) : name_(name), cgroups_(cgroups) {}

    bool is_over(pid_t init) {
        char program[4096];
        const ssize_t size = ::readlink(fmt::format("/proc/{}/exe", init).c_str(), program, sizeof program);
        const bool busybox = size > 0 && std::string_view(program, static_cast<std::size_t>(size)).ends_with("/busybox");
        looks_alone_ = busybox && cgroups_.is_alone(name_) ? looks_alone_ + 1 : 0;
        return looks_alone_ >= 3;
    }

private:
    const std::string& name_;
    const Cgroups& cgroups_;
    int looks_alone_ = 0;
};

Error start_error(const std::string& name, const Paths& paths, const Result<ProcessResult>& ended) {
    const auto log = read_file(paths.log(name));
    std::string why = log ? first_error(*log) : std::string();
    if (!ended)
        return Error(ended.error().code(), why.empty() ? ended.error().message() : escaped(why))
            .hint("see " + paths.log(name));
    if (why.empty()) why = std::string(trimmed(ended->err));
    return Error(ErrorCode::io, fmt::format("liblxc can't start container {}: {}", ctl::quoted(name), escaped(why)))
        .hint("see " + paths.log(name));
}

void forget_start(const std::string& name, const Paths& paths) {
    ::unlink(paths.started(name).c_str());
    ::unlink(paths.seccomp(name).c_str());
}

/// All that a container has to have around it, and then liblxc. What a failure leaves is the caller's to take away.
Status launch(const std::string& name, const Paths& paths) {
    CTL_ASSIGN(const auto config, read_file(paths.config(name)));
    CTL_TRY(write_root_files(name, paths, config));
    CTL_TRY(write_file_atomically(paths.started(name), config, 0600));
    CTL_TRY(write_file_atomically(paths.log(name), "", 0600));
    const auto container = parse_config(config, paths.place(name)).container;
    if (container.seccomp) CTL_TRY(write_file_atomically(paths.seccomp(name), *container.seccomp, 0600));
    CTL_TRY(check_mount_points(container));
    CTL_TRY(make_nodes(container, paths.place(name)));
    if (container.kernel_modules) CTL_TRY(load_modules(*container.kernel_modules));
    const auto ended =
        run_process({paths.start_helper(), name, paths.lxcpath, paths.started(name), paths.log(name)}, start_deadline);
    return ended && ended->exit_code == 0 ? ok() : Status(start_error(name, paths, ended));
}

std::chrono::seconds patience_for(const std::string& config, const ConfigPlace& place) {
    const auto timeout = parse_config(config, place).container.stop_timeout;
    return timeout ? std::chrono::seconds(*timeout) : usual_patience;
}

}  // namespace

Status start_container(const std::string& name, const Paths& paths, const Monitors& monitors, const Cgroups& cgroups) {
    if (monitors.is_running(name)) {
        if (monitors.wait_running(name, 30s)) return ok();
        CTL_TRY(monitors.kill(name));
    }
    CTL_TRY(cgroups.remove(name));
    auto launched = launch(name, paths);
    if (launched) return launched;
    static_cast<void>(monitors.kill(name));
    static_cast<void>(cgroups.remove(name));
    forget_start(name, paths);
    return launched;
}

Status stop_container(const std::string& name, const Paths& paths, const Monitors& monitors, const Cgroups& cgroups,
                      std::optional<std::chrono::seconds> patience) {
    if (monitors.is_running(name)) {
        if (cgroups.is_frozen(name)) CTL_TRY(cgroups.set_frozen(name, false));
        const auto config = read_file(paths.config(name));
        const auto started = read_file(paths.started(name));
        BusyboxHalt halt(name, cgroups);
        // How long it may take is live, what its init listens to is not.
        const auto own_patience = config ? patience_for(*config, paths.place(name)) : usual_patience;
        const auto& running = started ? started : config;
        CTL_TRY(monitors.stop(name, running ? halt_signal_in(*running) : SIGPWR, patience.value_or(own_patience),
                              [&](pid_t init) { return halt.is_over(init); }));
    }
    CTL_TRY(cgroups.remove(name));
    forget_start(name, paths);
    return ok();
}

std::string first_error(std::string_view log) {
    // "lxc web 20261121060032.123 ERROR    start - ../src/lxc/start.c:start:321 - Failed to exec "/sbin/init""
    for (const auto line : split(log, '\n')) {
        const std::size_t level = line.find(" ERROR ");
        if (level == std::string_view::npos) continue;
        std::string_view message = line.substr(level + 7);
        for (int skipped = 0; skipped < 2; ++skipped) {
            const std::size_t dash = message.find(" - ");
            if (dash != std::string_view::npos) message.remove_prefix(dash + 3);
        }
        return std::string(trimmed(message));
    }
    return {};
}

}  // namespace ctl::drivers::lxc
