#include "cli/sandbox/mounts.h"

#include <fmt/format.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <cerrno>

#include "base/file.h"
#include "base/mount_words.h"
#include "base/text.h"

namespace ctl::cli {

Result<std::vector<Mount>> read_mounts() {
    CTL_ASSIGN(const std::string text, read_file("/proc/self/mountinfo"));
    std::vector<Mount> mounts;
    for (const std::string_view line : split(text, '\n')) {
        const std::vector<std::string_view> words = split(line, ' ');
        std::size_t dash = 6;
        while (dash < words.size() && words[dash] != "-") ++dash;
        if (dash + 3 >= words.size()) continue;
        mounts.push_back({fstab_unescaped(words[3]), fstab_unescaped(words[4]), std::string(words[dash + 1]),
                          fstab_unescaped(words[dash + 3])});
    }
    return mounts;
}

bool is_within(std::string_view path, std::string_view directory) {
    return path.starts_with(directory) && (path.size() == directory.size() || path[directory.size()] == '/');
}

Status mount_at(const std::string& source, const std::string& point, const char* type, unsigned long flags,
                const std::string& options) {
    if (::mount(source.c_str(), point.c_str(), type, flags, options.empty() ? nullptr : options.c_str()) == 0) return ok();
    return system_error(errno, fmt::format("mount {} on {}", type != nullptr ? type : source, point));
}

Status make_directory(const std::string& path, unsigned mode) {
    if (::mkdir(path.c_str(), mode) == 0 || errno == EEXIST) return ok();
    return system_error(errno, fmt::format("make directory {}", path));
}

}  // namespace ctl::cli
