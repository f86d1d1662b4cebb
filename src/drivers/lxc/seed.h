#pragma once

#include <map>
#include <optional>
#include <string>

#include "base/result.h"

namespace ctl::drivers::lxc {

/// Files for cloud-init's NoCloud source by name; see model::Container::seed.
using Seed = std::map<std::string, std::string>;

/// The file of a container's directory in which its seed waits for the next start.
inline constexpr const char* seed_file_name = "seed.json";

/// Its path.
[[nodiscard]] std::string seed_file(const std::string& directory);

/// What a container's directory has; nothing without one.
[[nodiscard]] std::optional<Seed> read_seed(const std::string& directory);

/// Writes it there, or takes it away. Errors: invalid for names that are no plain file names.
[[nodiscard]] Status write_seed(const std::string& directory, const std::optional<Seed>& seed);

}  // namespace ctl::drivers::lxc
