#include "base/file.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>

#include <fmt/format.h>

#include "base/fd.h"

namespace ctl {

Result<std::string> read_file(const std::filesystem::path& path, std::size_t limit) {
    const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd) return system_error(errno, fmt::format("open {}", path.native()));
    std::string content;
    char buffer[65536];
    while (true) {
        const ssize_t got = ::read(fd.get(), buffer, sizeof buffer);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return system_error(errno, fmt::format("read {}", path.native()));
        if (got == 0) return content;
        if (content.size() + static_cast<std::size_t>(got) > limit)
            return Error(ErrorCode::invalid, fmt::format("{} is larger than {} bytes", path.native(), limit));
        content.append(buffer, static_cast<std::size_t>(got));
    }
}

std::filesystem::path path_aside(const std::filesystem::path& path) { return path.native() + ".ctl-new"; }

Status write_file_atomically(const std::filesystem::path& path, std::string_view content, unsigned mode) {
    const std::string aside = path_aside(path).native();
    ::unlink(aside.c_str());
    const Fd fd(::open(aside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!fd) return system_error(errno, fmt::format("create {}", aside));
    const auto fail = [&](std::string_view doing) {
        Error error = system_error(errno, fmt::format("{} {}", doing, aside));
        ::unlink(aside.c_str());
        return error;
    };
    if (::fchmod(fd.get(), mode) != 0) return fail("chmod");
    while (!content.empty()) {
        const ssize_t put = ::write(fd.get(), content.data(), content.size());
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return fail("write");
        content.remove_prefix(static_cast<std::size_t>(put));
    }
    if (::fdatasync(fd.get()) != 0) return fail("sync");
    if (::rename(aside.c_str(), path.c_str()) != 0) return fail("rename");
    return ok();
}

}  // namespace ctl
