#include "reconcile/lock.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <pwd.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "base/text.h"
#include "reconcile/utc.h"

namespace ctl::reconcile {

namespace {

constexpr std::chrono::milliseconds between_tries(50);

/// True if the lock is ours now, false if somebody has it.
Result<bool> try_lock(int fd) {
    struct flock whole {};
    whole.l_type = F_WRLCK;
    whole.l_whence = SEEK_SET;
    if (::fcntl(fd, F_OFD_SETLK, &whole) == 0) return true;
    if (errno == EAGAIN || errno == EACCES) return false;
    return system_error(errno, "locking the state directory");
}

std::string user_name() {
    std::array<char, 4096> buffer{};
    passwd entry{};
    passwd* found = nullptr;
    if (::getpwuid_r(::getuid(), &entry, buffer.data(), buffer.size(), &found) == 0 && found != nullptr)
        return found->pw_name;
    return std::to_string(::getuid());
}

/// "pid 4711, user root, since 2026-…, command "ctl apply -f x""
std::string holder_text(const std::string& command, Clock& clock) {
    return fmt::format("pid {}, user {}, since {}, command {}", ::getpid(), user_name(), utc_text(clock.wall()),
                       ctl::quoted(command));
}

Status write_holder(int fd, const std::string& text) {
    if (::ftruncate(fd, 0) != 0) return system_error(errno, "writing the lock's holder");
    if (::pwrite(fd, text.data(), text.size(), 0) != static_cast<ssize_t>(text.size()))
        return system_error(errno, "writing the lock's holder");
    return ok();
}

std::string read_holder(int fd) {
    std::array<char, 4096> buffer{};
    const auto size = ::pread(fd, buffer.data(), buffer.size(), 0);
    if (size <= 0) return "one that is just beginning or ending";
    return escaped(std::string_view(buffer.data(), static_cast<std::size_t>(size)));
}

}  // namespace

Result<Lock> Lock::acquire(const std::filesystem::path& state_dir, const std::string& command, Clock& clock,
                           std::chrono::milliseconds wait) {
    const auto file = state_dir / "lock";
    Fd fd(::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!fd) return system_error(errno, fmt::format("opening {}", ctl::quoted(file.string())));
    const auto deadline = clock.now() + wait;
    for (;;) {
        CTL_ASSIGN(const bool ours, try_lock(fd.get()));
        if (ours) break;
        if (clock.now() >= deadline)
            return Error(ErrorCode::locked,
                         fmt::format("another ctl works on {}: {}", ctl::quoted(state_dir.string()), read_holder(fd.get())))
                .hint("wait for it, or use --lock-timeout");
        clock.sleep_for(between_tries);
    }
    Lock lock(std::move(fd));
    CTL_TRY(write_holder(lock.fd_.get(), holder_text(command, clock)));
    return lock;
}

std::optional<std::string> Lock::holder(const std::filesystem::path& state_dir) {
    const Fd fd(::open((state_dir / "lock").c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    struct flock whole {};
    whole.l_type = F_WRLCK;
    whole.l_whence = SEEK_SET;
    if (!fd || ::fcntl(fd.get(), F_OFD_GETLK, &whole) != 0 || whole.l_type == F_UNLCK) return std::nullopt;
    return read_holder(fd.get());
}

Lock::~Lock() {
    // So that the next holder's waiters never read our name. Should it fail, they read an old name: no harm.
    if (fd_ && ::ftruncate(fd_.get(), 0) != 0) return;
}

}  // namespace ctl::reconcile
