#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace ctl::cli {

/// A line of /proc/self/mountinfo, paths unescaped.
struct Mount {
    std::string root;   ///< directory of the file system that is mounted
    std::string point;  ///< where
    std::string type;   ///< "cgroup2"
    std::string super_options;
};

[[nodiscard]] Result<std::vector<Mount>> read_mounts();

/// True if `path` is `directory` or below it; both absolute, without a slash at the end.
[[nodiscard]] bool is_within(std::string_view path, std::string_view directory);

/// mount(2); the error names the mount point.
[[nodiscard]] Status mount_at(const std::string& source, const std::string& point, const char* type, unsigned long flags,
                              const std::string& options);

[[nodiscard]] Status make_directory(const std::string& path, unsigned mode);

}  // namespace ctl::cli
