#pragma once

#include <map>
#include <string>

#include "base/result.h"

namespace ctl::drivers::dnsmasq {

/// A directory of one-line files, by file name.
using Lines = std::map<std::string, std::string>;

/// What stands in the directory, each file without its line end; nothing when there is no such directory.
[[nodiscard]] Result<Lines> read_lines(const std::string& directory);

/// Makes the directory hold `wanted` and nothing else, readable by everyone. Files that are so already are not touched.
/// Errors: invalid for what can't be a file's name or a line.
[[nodiscard]] Status write_lines(const std::string& directory, const Lines& wanted);

/// Deletes a file; nothing there is success.
[[nodiscard]] Status unlink_if_there(const std::string& path);

/// A directory that everyone may list and enter, and nobody but us change. There already is success.
[[nodiscard]] Status make_open_directory(const std::string& path);

}  // namespace ctl::drivers::dnsmasq
