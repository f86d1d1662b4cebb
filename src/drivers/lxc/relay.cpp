#include "drivers/lxc/relay.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <poll.h>
#include <signal.h>
#include <sys/fsuid.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>

namespace ctl::drivers::lxc {

namespace {

constexpr char end_of_input = 4;  // Ctrl-D, to a terminal

void close_end(int& fd) {
    if (fd >= 0) ::close(fd);
    fd = -1;
}

/// A pipe whose one end, ours, never blocks.
bool open_pipe(int& ours, int& theirs, bool we_write) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return false;
    ours = ends[we_write ? 1 : 0];
    theirs = ends[we_write ? 0 : 1];
    return ::fcntl(ours, F_SETFL, O_NONBLOCK) == 0;
}

bool is_multiplexer(int fd) {
    struct stat info {};
    struct statfs system {};
    return ::fstat(fd, &info) == 0 && S_ISCHR(info.st_mode) && info.st_rdev == makedev(5, 2) &&
           ::fstatfs(fd, &system) == 0 && system.f_type == DEVPTS_SUPER_MAGIC;
}

/// Looked at before it is opened: what stands there is the container's choice.
int open_multiplexer(int root) {
    open_how how{};
    how.flags = O_PATH | O_CLOEXEC;
    how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
    const int seen = static_cast<int>(::syscall(SYS_openat2, root, "dev/pts/ptmx", &how, sizeof how));
    if (seen < 0) return -1;
    struct stat owner {};
    int opened = -1;
    if (!is_multiplexer(seen)) errno = ENOTTY;
    else if (::fstat(root, &owner) == 0) {
        // The terminal belongs to whoever opens this: the container's root shall be able to give it to a user.
        const std::string path = "/proc/self/fd/" + std::to_string(seen);
        ::setfsgid(owner.st_gid);
        ::setfsuid(owner.st_uid);
        opened = ::open(path.c_str(), O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
        const int why = errno;
        ::setfsuid(0);
        ::setfsgid(0);
        errno = why;
    }
    const int why = errno;
    ::close(seen);
    errno = why;
    return opened;
}

/// The caller's terminal, if any of his streams is one.
int own_terminal() {
    for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
        if (::isatty(fd) != 0) return fd;
    return -1;
}

void copy_size(int master) {
    const int from = own_terminal();
    winsize size{};
    if (from >= 0 && ::ioctl(from, TIOCGWINSZ, &size) == 0 && size.ws_col != 0) ::ioctl(master, TIOCSWINSZ, &size);
}

/// While it lives the caller's terminal hands on every key as it is.
class RawTerminal {
public:
    explicit RawTerminal(bool wanted) {
        if (!wanted || ::tcgetattr(STDIN_FILENO, &before_) != 0) return;
        termios raw = before_;
        ::cfmakeraw(&raw);
        is_raw_ = ::tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) == 0;
    }
    ~RawTerminal() {
        if (is_raw_) ::tcsetattr(STDIN_FILENO, TCSADRAIN, &before_);
    }
    RawTerminal(const RawTerminal&) = delete;
    RawTerminal& operator=(const RawTerminal&) = delete;

private:
    termios before_{};
    bool is_raw_ = false;
};

/// What the caller types, on its way to the command. The command may be slow to read: then we wait for it, without keeping
/// what it writes waiting.
class Input {
public:
    Input(int to, bool terminal) : to_(to), terminal_(terminal) {}

    [[nodiscard]] pollfd wait_for() const {
        if (done_) return {-1, 0, 0};
        return begin_ == end_ ? pollfd{STDIN_FILENO, POLLIN, 0} : pollfd{to_, POLLOUT, 0};
    }

    /// True once there is nothing more to come, so that the command's input can be closed.
    bool go_on() {
        if (begin_ == end_) fill();
        else flush();
        return done_;
    }

private:
    void fill() {
        const ssize_t size = ::read(STDIN_FILENO, buffer_.data(), buffer_.size());
        if (size < 0 && (errno == EINTR || errno == EAGAIN)) return;
        begin_ = 0;
        end_ = size > 0 ? static_cast<std::size_t>(size) : 0;
        if (size > 0) return flush();
        if (!terminal_ || told_end_) {
            done_ = true;
            return;
        }
        told_end_ = true;
        buffer_[0] = end_of_input;
        end_ = 1;
        flush();
    }

    void flush() {
        const ssize_t size = ::write(to_, buffer_.data() + begin_, end_ - begin_);
        if (size > 0) begin_ += static_cast<std::size_t>(size);
        else if (errno != EINTR && errno != EAGAIN) done_ = true;
        if (begin_ == end_ && told_end_) done_ = true;
    }

    int to_;
    bool terminal_;
    std::array<char, 65536> buffer_{};
    std::size_t begin_ = 0;
    std::size_t end_ = 0;
    bool told_end_ = false;
    bool done_ = false;
};

bool write_all(int fd, const char* data, std::size_t size) {
    while (size != 0) {
        const ssize_t put = ::write(fd, data, size);
        if (put < 0 && errno == EINTR) continue;
        if (put < 0 && errno == EAGAIN) {
            pollfd ready{fd, POLLOUT, 0};
            ::poll(&ready, 1, -1);
            continue;
        }
        if (put <= 0) return false;
        data += put;
        size -= static_cast<std::size_t>(put);
    }
    return true;
}

/// Hands on what is there; false when there is nothing. Closes `from` at its end, and when nobody takes it any more: then
/// the command hears of that.
bool hand_on(int& from, int to) {
    if (from < 0) return false;
    std::array<char, 65536> buffer;
    const ssize_t size = ::read(from, buffer.data(), buffer.size());
    if (size < 0 && (errno == EINTR || errno == EAGAIN)) return errno == EINTR;
    if (size <= 0 || !write_all(to, buffer.data(), static_cast<std::size_t>(size))) close_end(from);
    return from >= 0;
}

/// What a command has written before it ended. What it left running may write on for ever: that is not waited for.
void hand_on_rest(int& from, int to) {
    for (int reads = 0; reads < 256 && hand_on(from, to); ++reads) continue;
}

}  // namespace

bool open_pipes(Streams& streams) {
    return open_pipe(streams.in, streams.command_in, true) && open_pipe(streams.out, streams.command_out, false) &&
           open_pipe(streams.err, streams.command_err, false);
}

bool open_terminal(int root, Streams& streams) {
    const int master = open_multiplexer(root);
    if (master < 0) return false;
    const int unlocked = 0;
    const int end =
        ::ioctl(master, TIOCSPTLCK, &unlocked) == 0 ? ::ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC) : -1;
    if (end < 0) return false;
    copy_size(master);
    streams = {.terminal = true, .in = master, .out = master, .command_in = end, .command_out = end, .command_err = end};
    return true;
}

void close_command_ends(Streams& streams) {
    if (streams.terminal) streams.command_out = streams.command_err = -1;
    close_end(streams.command_in);
    close_end(streams.command_out);
    close_end(streams.command_err);
}

int take_signals() {
    sigset_t taken;
    ::sigemptyset(&taken);
    for (const int signal : {SIGCHLD, SIGWINCH, SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2})
        ::sigaddset(&taken, signal);
    if (::sigprocmask(SIG_BLOCK, &taken, nullptr) != 0) return -1;
    return ::signalfd(-1, &taken, SFD_CLOEXEC | SFD_NONBLOCK);
}

int relay(Streams& streams, pid_t command, int signals) {
    // A terminal is one descriptor both ways: it stays open for what comes back when there is nothing more to type.
    const int sink = streams.in;
    Input input(sink, streams.terminal);
    const RawTerminal raw(streams.terminal);
    while (true) {
        std::array<pollfd, 4> waits{
            {{signals, POLLIN, 0}, input.wait_for(), {streams.out, POLLIN, 0}, {streams.err, POLLIN, 0}}};
        if (::poll(waits.data(), waits.size(), -1) < 0 && errno != EINTR) return 125;
        if (waits[1].revents != 0 && input.go_on() && !streams.terminal) close_end(streams.in);
        if (waits[2].revents != 0) hand_on(streams.out, STDOUT_FILENO);
        if (waits[3].revents != 0) hand_on(streams.err, STDERR_FILENO);
        signalfd_siginfo info{};
        while (::read(signals, &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
            const int signal = static_cast<int>(info.ssi_signo);
            if (signal == SIGWINCH && streams.terminal) copy_size(sink);
            else if (signal != SIGCHLD && signal != SIGWINCH) ::kill(-command, signal);
        }
        int status = 0;
        if (::waitpid(command, &status, WNOHANG) != command) continue;
        hand_on_rest(streams.out, STDOUT_FILENO);
        hand_on_rest(streams.err, STDERR_FILENO);
        return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }
}

}  // namespace ctl::drivers::lxc
