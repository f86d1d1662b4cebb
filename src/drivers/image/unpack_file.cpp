#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include <fmt/format.h>

#include "base/fd.h"
#include "base/piped_process.h"
#include "base/process.h"
#include "base/text.h"
#include "drivers/image/unpack.h"

namespace ctl::drivers::image {

namespace {

constexpr std::string_view squashfs_magic = "hsqs";
constexpr const char* nobody = "65534";

bool is_squashfs(int fd) {
    std::array<char, squashfs_magic.size()> start{};
    return ::pread(fd, start.data(), start.size(), 0) == static_cast<ssize_t>(start.size()) &&
           std::string_view(start.data(), start.size()) == squashfs_magic;
}

Result<std::string> require_program(std::string_view name, std::string_view package) {
    if (auto found = find_program(name)) return *found;
    return Error(ErrorCode::missing_driver, fmt::format("{} is not installed, which squashfs images need", name))
        .hint(fmt::format("apt-get install {}", package));
}

/// The file system's structures are read by a child without any privilege, whose only way out is a stream; what comes out of
/// it is distrusted like every archive.
Result<Unpacked> unpack_squashfs(int fd, std::int64_t size, const std::string& name, int root, const UnpackLimits& limits) {
    CTL_ASSIGN(const std::string reader, require_program("sqfs2tar", "squashfs-tools-ng"));
    CTL_ASSIGN(const std::string setpriv, require_program("setpriv", "util-linux"));
    CTL_ASSIGN(const std::string prlimit, require_program("prlimit", "util-linux"));
    struct stat info {};
    if (::fstat(fd, &info) != 0) return system_error(errno, "stat");
    if ((info.st_mode & S_IROTH) == 0)
        return Error(ErrorCode::permission, "a squashfs is read without privileges, and only its owner may read this one")
            .hint("make it readable for all: chmod a+r FILE; its folder may stay closed");
    CTL_ASSIGN(const auto child,
               PipedProcess::start(
                   {setpriv, "--reuid", nobody, "--regid", nobody, "--clear-groups", "--no-new-privs", "--bounding-set=-all",
                    prlimit, "--as=4294967296", "--core=0", "--cpu=3600", reader, "--root-becomes", ".", "/proc/self/fd/0"},
                   fd));
    auto unpacked = unpack_tar({child->output(), nullptr, size, name, 0}, root, limits);
    // What the child says of a broken squashfs tells more than that its stream ended early.
    if (unpacked || unpacked.error().code() == ErrorCode::invalid) {
        if (auto ended = child->finish(); !ended && unpacked)
            return Error(ErrorCode::invalid, "the squashfs can't be read").caused_by(std::move(ended).error());
    }
    return unpacked;
}

}  // namespace

Result<Unpacked> unpack_file(const std::string& path, int root, Fingerprint& sum, const UnpackLimits& limits) {
    const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
    if (!fd) return system_error(errno, fmt::format("open {}", ctl::quoted(path)));
    struct stat info {};
    if (::fstat(fd.get(), &info) != 0) return system_error(errno, fmt::format("stat {}", ctl::quoted(path)));
    if (!S_ISREG(info.st_mode)) return Error(ErrorCode::invalid, fmt::format("{} is no regular file", ctl::quoted(path)));
    if (!is_squashfs(fd.get())) return unpack_tar({fd.get(), &sum, 0, path, info.st_size}, root, limits);
    CTL_TRY(sum.add_rest(fd.get()));
    return unpack_squashfs(fd.get(), info.st_size, path, root, limits);
}

}  // namespace ctl::drivers::image
