#include "cli/sandbox/inside.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "base/text.h"
#include "cli/sandbox/mounts.h"
#include "cli/sandbox/open_vswitch.h"

namespace ctl::cli {

namespace {

constexpr const char* state_dir = "/var/lib/ctl";

Status unshare_namespace(int flag, const char* what) {
    return ::unshare(flag) == 0 ? ok() : Status(system_error(errno, fmt::format("make a {} namespace", what)));
}

/// Takes away all that is mounted at a place, so that nobody reads of it in mountinfo. Only this namespace sees that.
void detach(const char* target) {
    while (::umount2(target, MNT_DETACH) == 0) continue;
}

/// Puts what is mounted at `staged` in the place of `target`, keeping what else is mounted below `target`.
Status cover(const std::string& target, const std::string& staged, const std::string& except) {
    CTL_ASSIGN(const std::vector<Mount> mounts, read_mounts());
    for (const Mount& mount : mounts) {
        if (mount.point == target || !is_within(mount.point, target)) continue;
        if (!except.empty() && is_within(mount.point, except)) continue;
        // A mount point that the new tree lacks, or one hidden by a later mount, is not missed inside.
        (void)mount_at(mount.point, staged + mount.point.substr(target.size()), nullptr, MS_BIND, "");
    }
    detach(target.c_str());
    return mount_at(staged, target, nullptr, MS_MOVE, "");
}

Status mount_sys(const Inside& inside) {
    const std::string staged = inside.scratch.path + "/sys";
    CTL_TRY(make_directory(staged, 0755));
    CTL_TRY(mount_at("sysfs", staged, "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, ""));
    return cover("/sys", staged, "/sys/fs/cgroup");
}

/// The same hierarchies at the same places, seen from the sandbox's own cgroups.
Status mount_cgroups(const std::vector<SandboxCgroup>& cgroups) {
    constexpr unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
    constexpr const char* top = "/sys/fs/cgroup";
    const bool is_split =
        std::ranges::none_of(cgroups, [&](const SandboxCgroup& cgroup) { return cgroup.mount_point == top; });
    if (is_split) CTL_TRY(mount_at("tmpfs", top, "tmpfs", flags, "mode=755"));
    for (const SandboxCgroup& cgroup : cgroups) {
        CTL_TRY(make_directory(cgroup.mount_point, 0755));
        CTL_TRY(mount_at("cgroup", cgroup.mount_point, cgroup.unified ? "cgroup2" : "cgroup", flags, cgroup.options));
        const std::string name = cgroup.mount_point.substr(cgroup.mount_point.rfind('/') + 1);
        if (cgroup.unified || name.find(',') == std::string::npos) continue;
        for (const std::string_view controller : split(name, ',')) {
            const std::string link = fmt::format("{}/{}", top, controller);
            if (::symlink(name.c_str(), link.c_str()) != 0) return system_error(errno, fmt::format("make link {}", link));
        }
    }
    return ok();
}

/// Binds a fresh directory of the scratch over `target`.
Status replace_directory(const Scratch& scratch, const std::string& name, const std::string& target) {
    const std::string source = fmt::format("{}/{}", scratch.path, name);
    CTL_TRY(make_directory(source, 0755));
    return mount_at(source, target, nullptr, MS_BIND, "");
}

/// /var/lib on this host has no place for our state: a copy-on-write one has, and the host's stays as it is.
Status make_place_for_state(const Scratch& scratch) {
    if (::access(state_dir, F_OK) == 0) return ok();
    const std::string staged = scratch.path + "/var-lib";
    const std::string upper = staged + "-upper";
    const std::string work = staged + "-work";
    for (const std::string& path : {staged, upper, work}) CTL_TRY(make_directory(path, 0755));
    CTL_TRY(mount_at("overlay", staged, "overlay", 0, fmt::format("lowerdir=/var/lib,upperdir={},workdir={}", upper, work)));
    CTL_TRY(cover("/var/lib", staged, ""));
    return make_directory(state_dir, 0755);
}

Status mount_state(const Inside& inside) {
    CTL_TRY(make_place_for_state(inside.scratch));
    if (inside.options.keep_state) {
        CTL_TRY(mount_at(*inside.options.keep_state, state_dir, nullptr, MS_BIND, ""));
    } else {
        CTL_TRY(replace_directory(inside.scratch, "state", state_dir));
    }
    for (const char* path : {"/var/lib/lxc", "/var/lib/misc"}) {
        if (::access(path, F_OK) == 0) CTL_TRY(replace_directory(inside.scratch, path + std::strlen("/var/lib/"), path));
    }
    return ok();
}

Status mount_run() {
    detach("/run");
    CTL_TRY(mount_at("tmpfs", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755"));
    CTL_TRY(make_directory("/run/lock", 01777));
    if (::chmod("/run/lock", 01777) != 0) return system_error(errno, "change the mode of /run/lock");
    return ok();
}

Status bring_loopback_up() {
    const Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (!socket) return system_error(errno, "open a socket");
    ifreq request{};
    std::strcpy(request.ifr_name, "lo");
    request.ifr_flags = IFF_UP | IFF_RUNNING;
    return ::ioctl(socket.get(), SIOCSIFFLAGS, &request) == 0 ? ok() : Status(system_error(errno, "set lo up"));
}

Status make_world(const Inside& inside) {
    CTL_TRY(enter_cgroups(inside.cgroups));
    CTL_TRY(unshare_namespace(CLONE_NEWNS, "mount"));
    CTL_TRY(unshare_namespace(CLONE_NEWNET, "network"));
    CTL_TRY(unshare_namespace(CLONE_NEWIPC, "ipc"));
    CTL_TRY(unshare_namespace(CLONE_NEWUTS, "uts"));
    CTL_TRY(unshare_namespace(CLONE_NEWCGROUP, "cgroup"));
    CTL_TRY(settle_cgroups(inside.cgroups));
    CTL_TRY(mount_at("none", "/", nullptr, MS_REC | MS_PRIVATE, ""));
    detach("/proc");
    CTL_TRY(mount_at("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, ""));
    CTL_TRY(mount_sys(inside));
    CTL_TRY(mount_cgroups(inside.cgroups));
    CTL_TRY(mount_state(inside));
    CTL_TRY(mount_run());
    // A sandbox in this one keeps its scratch in ours, so that whatever becomes of it goes with us.
    CTL_TRY(replace_directory(inside.scratch, "nested", inside.scratch.base));
    if (::sethostname("sandbox", std::strlen("sandbox")) != 0) return system_error(errno, "set the host name");
    CTL_TRY(bring_loopback_up());
    return inside.options.open_vswitch ? start_open_vswitch(inside.signals_before) : ok();
}

void say_failure(int fd, const Error& error) {
    const std::string text = fmt::format("{}\n{}", static_cast<int>(error.code()), error.str());
    (void)!::write(fd, text.data(), text.size());
}

[[noreturn]] void become_command(const Inside& inside) {
    ::setenv("CTL_SANDBOX", inside.scratch.id.c_str(), 1);
    std::vector<char*> arguments;
    for (const std::string& word : inside.argv) arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);
    ::sigprocmask(SIG_SETMASK, &inside.signals_before, nullptr);
    ::execvp(arguments[0], arguments.data());
    const ErrorCode code = errno == ENOENT ? ErrorCode::not_found : ErrorCode::io;
    say_failure(inside.failure,
                Error(code, fmt::format("can't run {}: {}", ctl::quoted(inside.argv.front()), std::strerror(errno))));
    ::_exit(127);
}

int exit_code_of(int status) { return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status); }

/// Reaps all that ended; the command's exit code once it is among them.
std::optional<int> reap(pid_t command) {
    std::optional<int> code;
    int status = 0;
    for (pid_t pid = 0; (pid = ::waitpid(-1, &status, WNOHANG)) > 0;) {
        if (pid == command) code = exit_code_of(status);
    }
    return code;
}

bool is_outer_gone(int outer_alive) {
    pollfd watched{outer_alive, POLLIN, 0};
    return ::poll(&watched, 1, 0) > 0 && (watched.revents & POLLHUP) != 0;
}

}  // namespace

sigset_t sandbox_signals() {
    sigset_t set;
    ::sigemptyset(&set);
    for (const int signal : {SIGCHLD, SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH})
        ::sigaddset(&set, signal);
    return set;
}

bool unshare_all() {
    return ::unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP) == 0;
}

void live_inside(Inside inside) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (is_outer_gone(inside.outer_alive)) ::_exit(1);
    ::prctl(PR_SET_NAME, "ctl-sandbox");
    if (const Status status = make_world(inside); !status) {
        say_failure(inside.failure, status.error());
        ::_exit(125);
    }
    const sigset_t signals = sandbox_signals();
    const Fd events(::signalfd(-1, &signals, SFD_CLOEXEC));
    const pid_t command = ::fork();
    if (command == 0) become_command(inside);
    if (command < 0 || !events) {
        say_failure(inside.failure, system_error(errno, "start the command"));
        ::_exit(125);
    }
    ::close(inside.failure);
    for (;;) {
        if (const std::optional<int> code = reap(command)) {
            thaw_all(inside.cgroups);
            ::_exit(*code);
        }
        signalfd_siginfo info{};
        if (::read(events.get(), &info, sizeof info) != sizeof info) continue;
        // What the terminal sends reaches the command by itself.
        if (info.ssi_signo != SIGCHLD && info.ssi_code != SI_KERNEL) ::kill(command, static_cast<int>(info.ssi_signo));
    }
}

}  // namespace ctl::cli
