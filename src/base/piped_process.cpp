#include "base/piped_process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include <fmt/format.h>

#include "base/spawn_child.h"
#include "base/text.h"

namespace ctl {

namespace {

constexpr off_t errors_shown = 500;

std::string end_of(int fd) {
    struct stat info {};
    if (::fstat(fd, &info) != 0) return {};
    std::string text(static_cast<std::size_t>(std::min<off_t>(info.st_size, errors_shown)), '\0');
    const ssize_t got = ::pread(fd, text.data(), text.size(), info.st_size - static_cast<off_t>(text.size()));
    text.resize(static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
    return escaped(trimmed(text));
}

}  // namespace

Result<std::unique_ptr<PipedProcess>> PipedProcess::start(const std::vector<std::string>& argv, int input) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return system_error(errno, "pipe");
    std::unique_ptr<PipedProcess> process(new PipedProcess);
    process->output_.reset(ends[0]);
    const Fd write_end(ends[1]);
    process->errors_.reset(::memfd_create("errors", MFD_CLOEXEC));
    if (!process->errors_) return system_error(errno, "make a file in memory");
    process->name_ = argv.front();
    CTL_ASSIGN(process->pid_, spawn_child(argv, {input, write_end.get(), process->errors_.get()}));
    return process;
}

Status PipedProcess::finish() {
    output_.reset();
    int status = 0;
    while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    pid_ = -1;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return ok();
    const std::string how = WIFEXITED(status) ? fmt::format("ended with status {}", WEXITSTATUS(status))
                                              : fmt::format("was ended by signal {}", WTERMSIG(status));
    return Error(ErrorCode::io, fmt::format("{} {}: {}", name_, how, end_of(errors_.get())));
}

PipedProcess::~PipedProcess() {
    if (pid_ < 0) return;
    ::kill(pid_, SIGKILL);
    while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
}

}  // namespace ctl
