#include "base/process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>

#include <fmt/format.h>

#include "base/fd.h"
#include "base/spawn_child.h"
#include "base/text.h"

namespace ctl {

namespace {

constexpr std::size_t output_limit = std::size_t{1} << 20;

struct Pipe {
    Fd read;
    Fd write;
};

Result<Pipe> make_pipe() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return system_error(errno, "pipe");
    return Pipe{Fd(ends[0]), Fd(ends[1])};
}

/// Reads what is there into `sink`; closes the descriptor at end of file.
void drain(Fd& fd, std::string& sink) {
    char buffer[16384];
    const ssize_t got = ::read(fd.get(), buffer, sizeof buffer);
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) return;
    if (got <= 0) {
        fd.reset();
        return;
    }
    sink.append(buffer, std::min(static_cast<std::size_t>(got), output_limit - std::min(output_limit, sink.size())));
}

}  // namespace

Result<ProcessResult> run_process(const std::vector<std::string>& argv, std::chrono::milliseconds deadline) {
    CTL_ASSIGN(auto out, make_pipe());
    CTL_ASSIGN(auto err, make_pipe());

    CTL_ASSIGN(const pid_t child, spawn_child(argv, {-1, out.write.get(), err.write.get()}));
    out.write.reset();
    err.write.reset();
    const Fd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, child, 0)));
    if (!pidfd) {
        // Nothing would tell when it ends.
        const Error failure = system_error(errno, fmt::format("watch {}", argv.front()));
        ::kill(child, SIGKILL);
        while (::waitpid(child, nullptr, 0) < 0 && errno == EINTR) continue;
        return failure;
    }

    ProcessResult result;
    const auto end = std::chrono::steady_clock::now() + deadline;
    bool exited = false;
    bool late = false;
    // After the child's end only what already stands in the pipes is read: a grandchild may keep them open for ever.
    while (!exited) {
        pollfd fds[] = {{pidfd.get(), POLLIN, 0}, {out.read.get(), POLLIN, 0}, {err.read.get(), POLLIN, 0}};
        const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
        if (left.count() <= 0 && !late) {
            late = true;
            ::kill(child, SIGKILL);
        }
        if (::poll(fds, 3, late ? -1 : static_cast<int>(left.count())) < 0 && errno != EINTR) break;
        if (fds[1].revents != 0) drain(out.read, result.out);
        if (fds[2].revents != 0) drain(err.read, result.err);
        exited = fds[0].revents != 0;
    }
    for (auto [fd, sink] : {std::pair{&out.read, &result.out}, std::pair{&err.read, &result.err}}) {
        if (!*fd) continue;
        ::fcntl(fd->get(), F_SETFL, O_NONBLOCK);
        for (std::size_t before = sink->size() + 1; *fd && before != sink->size();) {
            before = sink->size();
            drain(*fd, *sink);
        }
    }
    int status = 0;
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    if (late)
        return Error(ErrorCode::timeout,
                     fmt::format("{} did not end within {} ms and was killed", argv.front(), deadline.count()));
    result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return result;
}

std::optional<std::string> find_program(std::string_view name) {
    const char* path = ::getenv("PATH");
    const std::string places = fmt::format("{}:/usr/local/sbin:/usr/sbin:/sbin", path != nullptr ? path : "");
    for (const auto place : split(places, ':')) {
        if (!place.starts_with('/')) continue;
        std::string program = fmt::format("{}/{}", place, name);
        struct stat info {};
        if (::stat(program.c_str(), &info) == 0 && S_ISREG(info.st_mode) && ::access(program.c_str(), X_OK) == 0)
            return program;
    }
    return std::nullopt;
}

}  // namespace ctl
