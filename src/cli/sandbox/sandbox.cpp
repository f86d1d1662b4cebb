#include "cli/sandbox/sandbox.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>

#include "base/fd.h"
#include "base/text.h"
#include "cli/sandbox/cgroups.h"
#include "cli/sandbox/inside.h"
#include "cli/sandbox/scratch.h"

namespace ctl::cli {

namespace {

struct Pipe {
    Fd read;
    Fd write;
};

Result<Pipe> make_pipe() {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) return system_error(errno, "make a pipe");
    return Pipe{Fd(ends[0]), Fd(ends[1])};
}

/// Blocks sandbox_signals() in the caller for as long as it lives.
class BlockedSignals {
public:
    BlockedSignals() {
        const sigset_t signals = sandbox_signals();
        ::sigprocmask(SIG_BLOCK, &signals, &before_);
    }
    BlockedSignals(const BlockedSignals&) = delete;
    BlockedSignals& operator=(const BlockedSignals&) = delete;
    ~BlockedSignals() { ::sigprocmask(SIG_SETMASK, &before_, nullptr); }

    [[nodiscard]] const sigset_t& before() const { return before_; }

private:
    sigset_t before_{};
};

/// fork(2) with the child as process 1 of a new pid namespace; later children of the caller are born in its own again.
Result<pid_t> fork_into_new_pid_namespace() {
    const Fd own(::open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC));
    if (!own) return system_error(errno, "open /proc/self/ns/pid");
    if (::unshare(CLONE_NEWPID) != 0) return system_error(errno, "make a pid namespace");
    const pid_t pid = ::fork();
    const int failure = errno;
    if (pid == 0) return pid;
    if (::setns(own.get(), CLONE_NEWPID) != 0) return system_error(errno, "return to the pid namespace");
    if (pid < 0) return system_error(failure, "fork");
    return pid;
}

/// What process 1 wrote before it gave up; nothing once the command runs.
std::optional<Error> read_failure(int fd) {
    std::string text;
    std::array<char, 4096> buffer{};
    for (ssize_t size = 0; (size = ::read(fd, buffer.data(), buffer.size())) != 0;) {
        if (size > 0) text.append(buffer.data(), static_cast<std::size_t>(size));
        if (size < 0 && errno != EINTR) break;
    }
    const std::size_t line = text.find('\n');
    if (line == std::string::npos) return std::nullopt;
    int code = 0;
    std::from_chars(text.data(), text.data() + line, code);
    return Error(static_cast<ErrorCode>(code), text.substr(line + 1));
}

/// Passes signals on to process 1 until it ends.
Result<int> wait_for(pid_t init) {
    const sigset_t signals = sandbox_signals();
    const Fd events(::signalfd(-1, &signals, SFD_CLOEXEC));
    if (!events) return system_error(errno, "wait for signals");
    for (;;) {
        int status = 0;
        const pid_t ended = ::waitpid(init, &status, WNOHANG);
        if (ended == init) return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
        if (ended < 0 && errno != EINTR) return system_error(errno, "wait for the sandbox");
        signalfd_siginfo info{};
        if (::read(events.get(), &info, sizeof info) != sizeof info) continue;
        if (info.ssi_signo != SIGCHLD && info.ssi_code != SI_KERNEL) ::kill(init, static_cast<int>(info.ssi_signo));
    }
}

Result<int> run_with(const SandboxOptions& options, const Scratch& scratch, const std::vector<SandboxCgroup>& cgroups,
                     const std::vector<std::string>& argv) {
    CTL_ASSIGN(Pipe alive, make_pipe());
    CTL_ASSIGN(Pipe failure, make_pipe());
    const BlockedSignals blocked;
    CTL_ASSIGN(const pid_t init, fork_into_new_pid_namespace());
    if (init == 0) {
        alive.write.reset();
        failure.read.reset();
        live_inside({options, scratch, cgroups, argv, blocked.before(), alive.read.get(), failure.write.get()});
    }
    failure.write.reset();
    std::optional<Error> error = read_failure(failure.read.get());
    CTL_ASSIGN(const int code, wait_for(init));
    if (error) return std::move(*error);
    return code;
}

Status remove_all(const Scratch& scratch, const std::vector<std::string>& cgroups) {
    // Without its cgroups' names the scratch would be all that a later run has to find them by.
    CTL_TRY(remove_cgroups(cgroups));
    return remove_scratch(scratch);
}

Result<SandboxOptions> with_checked_state(SandboxOptions options) {
    if (!options.keep_state) return options;
    std::error_code failure;
    std::filesystem::create_directories(*options.keep_state, failure);
    if (!failure) *options.keep_state = std::filesystem::canonical(*options.keep_state, failure).string();
    if (failure) return system_error(failure.value(), fmt::format("make directory {}", ctl::quoted(*options.keep_state)));
    return options;
}

}  // namespace

Result<int> run_in_sandbox(const SandboxOptions& options, const std::vector<std::string>& argv) {
    if (argv.empty()) return Error(ErrorCode::invalid, "no command given").hint("ctl sandbox -- COMMAND");
    if (::geteuid() != 0) return Error(ErrorCode::permission, "a sandbox needs root").hint("sudo ctl sandbox -- COMMAND");
    CTL_ASSIGN(const SandboxOptions checked, with_checked_state(options));
    CTL_ASSIGN(const Scratch scratch, make_scratch());

    std::vector<std::string> directories;
    Result<int> result = [&]() -> Result<int> {
        CTL_ASSIGN(const std::vector<SandboxCgroup> cgroups, make_cgroups(cgroup_name(scratch.id)));
        for (const SandboxCgroup& cgroup : cgroups) directories.push_back(cgroup.directory);
        CTL_TRY(remember_cgroups(scratch, directories));
        return run_with(checked, scratch, cgroups, argv);
    }();

    Status removed = remove_all(scratch, directories);
    if (!result || removed) return result;
    return Error(ErrorCode::io,
                 fmt::format("the command ended with exit code {}, but its sandbox could not be removed", *result))
        .hint("the next ctl sandbox tries again")
        .caused_by(std::move(removed).error());
}

std::optional<std::string> why_sandbox_is_impossible() {
    if (::geteuid() != 0) return "a sandbox needs root";
    const pid_t child = ::fork();
    if (child == 0) ::_exit(unshare_all() ? 0 : errno);
    int status = 0;
    while (child > 0 && ::waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
    if (child < 0) return fmt::format("can't fork: {}", std::strerror(errno));
    if (status != 0) return fmt::format("the kernel refuses new namespaces: {}", std::strerror(WEXITSTATUS(status)));
    const std::string name = fmt::format("ctl-sandbox-probe-{}", ::getpid());
    const Result<std::vector<SandboxCgroup>> cgroups = make_cgroups(name);
    if (!cgroups) return cgroups.error().str();
    std::vector<std::string> directories;
    for (const SandboxCgroup& cgroup : *cgroups) directories.push_back(cgroup.directory);
    if (const Status removed = remove_cgroups(directories); !removed) return removed.error().str();
    return std::nullopt;
}

}  // namespace ctl::cli
