#include "drivers/storage/id_map.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>

#include <fmt/format.h>

#include "base/text.h"

namespace ctl::drivers::storage {

namespace {

Status write_map(pid_t pid, const char* file, const IdMap& map) {
    const std::string path = fmt::format("/proc/{}/{}", pid, file);
    const std::string line = fmt::format("{} {} {}\n", map.container, map.host, map.count);
    const Fd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
    if (!fd) return system_error(errno, fmt::format("open {}", path));
    if (::write(fd.get(), line.data(), line.size()) != static_cast<ssize_t>(line.size()))
        return system_error(errno, fmt::format("write {}", path));
    return ok();
}

Result<Fd> map_and_open(pid_t pid, const IdMap& map) {
    CTL_TRY(write_map(pid, "uid_map", map));
    CTL_TRY(write_map(pid, "gid_map", map));
    const std::string path = fmt::format("/proc/{}/ns/user", pid);
    Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd) return system_error(errno, fmt::format("open {}", path));
    return fd;
}

}  // namespace

Result<std::optional<IdMap>> IdMap::parse(std::string_view text) {
    if (text.empty() || text == "none") return std::optional<IdMap>();
    std::array<std::uint32_t, 3> numbers{};
    const auto parts = split(text, ':');
    bool good = parts.size() == numbers.size();
    for (std::size_t i = 0; good && i < numbers.size(); ++i) {
        const auto [end, problem] = std::from_chars(parts[i].data(), parts[i].data() + parts[i].size(), numbers[i]);
        good = problem == std::errc() && end == parts[i].data() + parts[i].size();
    }
    const IdMap map{numbers[0], numbers[1], numbers[2]};
    good =
        good && map.count != 0 && map.container + (map.count - 1) >= map.container && map.host + (map.count - 1) >= map.host;
    if (!good)
        return Error(ErrorCode::invalid, fmt::format("id map {} can't be used", ctl::quoted(text)))
            .hint("write CONTAINER:HOST:COUNT, such as 0:100000:65536, or none");
    return std::optional<IdMap>(map);
}

Result<IdShift> shift_between(const std::optional<IdMap>& from, const std::optional<IdMap>& to) {
    const IdMap known = from ? *from : to.value_or(IdMap{});
    const IdShift shift{from ? from->host : known.container, to ? to->host : known.container, known.count};
    const bool disjoint = shift.from == shift.to || std::uint64_t{shift.from} + shift.count <= shift.to ||
                          std::uint64_t{shift.to} + shift.count <= shift.from;
    if (!disjoint)
        return Error(ErrorCode::unsupported, fmt::format("the id ranges at {} and {} overlap", shift.from, shift.to))
            .hint("choose ranges that share no id, or make the container anew");
    return shift;
}

Result<Fd> make_user_namespace(const IdMap& map) {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) return system_error(errno, "make pipe");
    const Fd reading(ends[0]);
    Fd writing(ends[1]);
    // The child does nothing but system calls: other threads of ours may hold any lock. No signal tells of its end, so
    // that it does not look like a child of the program's own making.
    const auto pid = static_cast<pid_t>(::syscall(SYS_clone, CLONE_NEWUSER, nullptr, nullptr, nullptr, nullptr));
    if (pid < 0) return system_error(errno, "make user namespace");
    if (pid == 0) {
        ::syscall(SYS_close, ends[1]);
        char ignored = 0;
        ::syscall(SYS_read, ends[0], &ignored, 1);
        ::syscall(SYS_exit_group, 0);
        __builtin_unreachable();
    }
    auto opened = map_and_open(pid, map);
    writing.reset();
    while (::waitpid(pid, nullptr, __WALL) < 0 && errno == EINTR) {
    }
    if (!opened) return std::move(opened).error().while_("making a user namespace for idmapped mounts");
    return opened;
}

}  // namespace ctl::drivers::storage
