#include "drivers/dnsmasq/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include <fmt/format.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/text.h"
#include "base/tree.h"
#include "drivers/api/store.h"
#include "drivers/dnsmasq/config_file.h"

namespace ctl::drivers::dnsmasq {

namespace {

constexpr std::size_t longest_line = 4096;

/// Not synced: what a power cut takes is seen to be missing and written again, before dnsmasq starts to read it.
Status write_line(int directory, const std::string& name, const std::string& line) {
    const Fd fd(::openat(directory, name.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644));
    if (!fd) return system_error(errno, fmt::format("create {}", ctl::quoted(name)));
    if (::fchmod(fd.get(), 0644) != 0) return system_error(errno, fmt::format("change mode of {}", ctl::quoted(name)));
    const std::string text = line + "\n";
    if (::write(fd.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()))
        return system_error(errno, fmt::format("write {}", ctl::quoted(name)));
    return ok();
}

Status check_line(const std::string& name, const std::string& line) {
    if (!is_plain_name(name) || !is_line(line) || line.size() >= longest_line)
        return Error(ErrorCode::invalid,
                     fmt::format("{} with {} can't be told to dnsmasq", ctl::quoted(name), ctl::quoted(line)));
    return ok();
}

}  // namespace

Result<Lines> read_lines(const std::string& directory) {
    const Fd fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!fd && errno == ENOENT) return Lines{};
    if (!fd) return system_error(errno, fmt::format("open directory {}", ctl::quoted(directory)));
    CTL_ASSIGN(const auto names, directory_names(fd.get()));
    Lines lines;
    for (const auto& name : names) {
        const Fd file(::openat(fd.get(), name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
        std::string text(longest_line, '\0');
        const ssize_t size = file ? ::read(file.get(), text.data(), text.size()) : -1;
        // What can't be read as a line is not what we wrote: shown as such, so that it is put right.
        text.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
        if (text.ends_with('\n')) text.pop_back();
        lines.emplace(name, std::move(text));
    }
    return lines;
}

Status write_lines(const std::string& directory, const Lines& wanted) {
    for (const auto& [name, line] : wanted) CTL_TRY(check_line(name, line));
    CTL_TRY(make_open_directory(directory));
    CTL_ASSIGN(const Lines now, read_lines(directory));
    CTL_ASSIGN(const Fd fd, open_directory(directory));
    for (const auto& [name, line] : now)
        if (!wanted.contains(name)) CTL_TRY(remove_tree(fd.get(), name));
    for (const auto& [name, line] : wanted) {
        const auto found = now.find(name);
        if (found == now.end() || found->second != line) CTL_TRY(write_line(fd.get(), name, line));
    }
    return ok();
}

Status unlink_if_there(const std::string& path) {
    if (::unlink(path.c_str()) == 0 || errno == ENOENT) return ok();
    return system_error(errno, fmt::format("delete {}", ctl::quoted(path)));
}

Status make_open_directory(const std::string& path) {
    if (::mkdir(path.c_str(), 0755) != 0 && errno != EEXIST)
        return system_error(errno, fmt::format("make directory {}", ctl::quoted(path)));
    CTL_ASSIGN(const Fd fd, open_directory(path));
    if (::fchmod(fd.get(), 0755) != 0) return system_error(errno, fmt::format("change mode of {}", ctl::quoted(path)));
    return ok();
}

}  // namespace ctl::drivers::dnsmasq
