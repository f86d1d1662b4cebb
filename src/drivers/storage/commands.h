#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/process.h"
#include "base/result.h"

namespace ctl::drivers::storage {

/// All that the stores of trees (tree_store.h) do to the host: tests answer with what was recorded.
struct Commands {
    /// Runs a tool, never through a shell, until it ends or takes too long.
    std::function<Result<ProcessResult>(const std::vector<std::string>& argv)> run;
    /// A mount of a file system that is attached nowhere yet.
    std::function<Result<Fd>(const std::string& type, const std::string& source, const std::string& flag)> mount;
    /// Lets an ext4 that is mounted take so many bytes of its device.
    std::function<Status(const std::string& device, int directory, std::int64_t bytes)> grow_ext4;
    /// Bytes of its device that an ext4 takes: all of them where the rest is too little for it. Nothing for no ext4.
    std::function<std::optional<std::int64_t>(const std::string& device)> size_of_ext4;
    /// Makes a file of that size, or gives one another size; what it takes is not taken before it is written.
    std::function<Status(const std::string& path, std::int64_t bytes)> size_file;
    std::function<bool(const std::string& program)> is_installed;
    /// A name that nothing else has.
    std::function<Result<std::string>()> new_name;
};

[[nodiscard]] Commands host_commands();

/// What a tool printed. Errors: io when it failed, with its own last line; no_space when it says so.
[[nodiscard]] Result<std::string> output_of(const Commands& commands, const std::vector<std::string>& argv);
/// As output_of, without what it printed.
[[nodiscard]] Status run_tool(const Commands& commands, const std::vector<std::string>& argv);

}  // namespace ctl::drivers::storage
