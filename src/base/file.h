#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>

#include "base/result.h"

namespace ctl {

/// The whole content of a file of at most `limit` bytes. Errors: not_found, permission, io; invalid when it is larger.
[[nodiscard]] Result<std::string> read_file(const std::filesystem::path& path, std::size_t limit = std::size_t{64} << 20);

/// Where write_file_atomically builds the file: beside it. A program that is killed may leave it there; the next write of
/// the same file takes it away.
[[nodiscard]] std::filesystem::path path_aside(const std::filesystem::path& path);

/// Writes aside, syncs and renames over `path`: readers see the old or the new content, never half of it, even after a
/// crash. One writer at a time.
[[nodiscard]] Status write_file_atomically(const std::filesystem::path& path, std::string_view content,
                                           unsigned mode = 0644);

}  // namespace ctl
