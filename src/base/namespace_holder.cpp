#include "base/namespace_holder.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include <fmt/format.h>

namespace ctl {

namespace {

/// For three system calls.
constexpr std::size_t stack_size = 16384;

Status write_proc(const std::string& path, const std::string& text) {
    const Fd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
    if (!fd) return system_error(errno, "open " + path);
    if (::write(fd.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()))
        return system_error(errno, "write " + path);
    return ok();
}

}  // namespace

/// In our memory, beside our threads: system calls and nothing that may be shared with them, not even a sanitizer's notes.
__attribute__((no_sanitize("address", "thread", "undefined"))) int NamespaceHolder::wait_in_child(void* holder) {
    const auto* self = static_cast<const NamespaceHolder*>(holder);
    ::syscall(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    ::syscall(SYS_close, self->write_end_.get());
    ::syscall(SYS_read, self->read_end_.get(), self->stack_.get(), 1);
    return 0;
}

Result<std::unique_ptr<NamespaceHolder>> NamespaceHolder::start(int namespaces) {
    std::unique_ptr<NamespaceHolder> holder(new NamespaceHolder());
    holder->stack_ = std::make_unique<char[]>(stack_size);
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return system_error(errno, "make pipe");
    holder->read_end_.reset(ends[0]);
    holder->write_end_.reset(ends[1]);
    // The child has our signal handlers, which must not run in it: they would act on descriptors that it shares with us.
    sigset_t all;
    sigset_t before;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    // Sharing our memory spares the copy of its tables, which takes longer than the namespaces. Without an exit signal
    // nobody's wait for any child takes this one away from us.
    holder->pid_ = ::clone(wait_in_child, holder->stack_.get() + stack_size, CLONE_VM | namespaces, holder.get());
    const int error = errno;
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    if (holder->pid_ < 0) return system_error(error, "make namespaces");
    return holder;
}

NamespaceHolder::~NamespaceHolder() {
    if (pid_ < 0) return;
    ::kill(pid_, SIGKILL);
    while (::waitpid(pid_, nullptr, __WALL) < 0 && errno == EINTR) {
    }
}

std::string NamespaceHolder::proc(std::string_view file) const { return fmt::format("/proc/{}/{}", pid_, file); }

Status NamespaceHolder::map_ids(const std::string& map) const {
    CTL_TRY(write_proc(proc("uid_map"), map));
    return write_proc(proc("gid_map"), map);
}

}  // namespace ctl
