// Preloaded into a program by tests: sends it a signal at an exact point of its work, so that a crash is no matter of luck.
//
//   DIE_AT=commit:N   when its Nth write to a journal (a file whose name ends in "-wal") has reached the disk
//   DIE_AT=change:N   right before its Nth system call that changes the host
//   DIE_WITH=SIGNAL   the signal's number, by default that of SIGKILL
//   DIE_REPORT=FILE   gets the number of such points that were passed, if the program ends by itself
//
// The program's children are left alone.

#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

namespace {

enum class Point { none, commit, change };

struct Settings {
    Point point = Point::none;
    long number = 0;
    int signal = SIGKILL;
    std::string report;
};

std::atomic<long> passed = 0;

std::string taken_from_environment(const char* name) {
    const char* value = std::getenv(name);
    std::string text = value != nullptr ? value : "";
    ::unsetenv(name);
    return text;
}

Settings read_settings() {
    Settings read;
    ::unsetenv("LD_PRELOAD");
    const std::string at = taken_from_environment("DIE_AT");
    const std::string with = taken_from_environment("DIE_WITH");
    read.report = taken_from_environment("DIE_REPORT");
    if (at.starts_with("commit:")) read.point = Point::commit;
    if (at.starts_with("change:")) read.point = Point::change;
    if (read.point != Point::none) read.number = std::atol(at.c_str() + std::strlen("commit:"));
    if (!with.empty()) read.signal = std::atoi(with.c_str());
    return read;
}

// Null before the program's libraries are set up; never freed, as they may still call while the program ends.
const Settings* const settings = new Settings(read_settings());

__attribute__((destructor)) void end() {
    if (settings->report.empty()) return;
    if (std::FILE* file = std::fopen(settings->report.c_str(), "w")) {
        std::fprintf(file, "%ld\n", passed.load());
        std::fclose(file);
    }
}

void pass(Point point) {
    if (settings == nullptr || settings->point != point || ++passed != settings->number) return;
    ::kill(::getpid(), settings->signal);
}

bool is_journal(int fd) {
    std::array<char, 4096> target{};
    const std::string link = "/proc/self/fd/" + std::to_string(fd);
    const ssize_t size = ::readlink(link.c_str(), target.data(), target.size());
    return size > 0 && std::string_view(target.data(), static_cast<std::size_t>(size)).ends_with("-wal");
}

template <typename Function>
Function next(const char* name) {
    return reinterpret_cast<Function>(::dlsym(RTLD_NEXT, name));
}

}  // namespace

/// A function of the C library that changes the host, with what tests do before it.
#define CHANGES_HOST(result, name, parameters, arguments)           \
    extern "C" result name parameters {                             \
        static const auto real = next<result(*) parameters>(#name); \
        pass(Point::change);                                        \
        return real arguments;                                      \
    }

// NOLINTBEGIN: the names and parameters are the C library's.
#pragma GCC diagnostic ignored "-Wredundant-decls"

extern "C" int fdatasync(int fd) {
    static const auto real = next<int (*)(int)>("fdatasync");
    const int result = real(fd);
    if (is_journal(fd)) pass(Point::commit);
    return result;
}

CHANGES_HOST(int, mkdir, (const char* path, mode_t mode) noexcept, (path, mode))
CHANGES_HOST(int, mkdirat, (int dir, const char* path, mode_t mode) noexcept, (dir, path, mode))
CHANGES_HOST(int, rename, (const char* from, const char* to) noexcept, (from, to))
CHANGES_HOST(int, renameat, (int a, const char* from, int b, const char* to) noexcept, (a, from, b, to))
CHANGES_HOST(int, renameat2, (int a, const char* from, int b, const char* to, unsigned flags) noexcept,
             (a, from, b, to, flags))
CHANGES_HOST(int, symlink, (const char* target, const char* path) noexcept, (target, path))
CHANGES_HOST(int, symlinkat, (const char* target, int dir, const char* path) noexcept, (target, dir, path))
CHANGES_HOST(int, linkat, (int a, const char* from, int b, const char* to, int flags) noexcept, (a, from, b, to, flags))
CHANGES_HOST(int, unlink, (const char* path) noexcept, (path))
CHANGES_HOST(int, unlinkat, (int dir, const char* path, int flags) noexcept, (dir, path, flags))
CHANGES_HOST(int, rmdir, (const char* path) noexcept, (path))
CHANGES_HOST(int, fchownat, (int dir, const char* path, uid_t user, gid_t group, int flags) noexcept,
             (dir, path, user, group, flags))
CHANGES_HOST(int, mount,
             (const char* from, const char* to, const char* type, unsigned long flags, const void* data) noexcept,
             (from, to, type, flags, data))
CHANGES_HOST(int, umount2, (const char* path, int flags) noexcept, (path, flags))
CHANGES_HOST(ssize_t, sendmsg, (int fd, const msghdr* message, int flags), (fd, message, flags))
CHANGES_HOST(ssize_t, sendto, (int fd, const void* data, size_t size, int flags, const sockaddr* to, socklen_t to_size),
             (fd, data, size, flags, to, to_size))
// NOLINTEND
