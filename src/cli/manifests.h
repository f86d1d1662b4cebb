#pragma once

#include <filesystem>
#include <optional>
#include <vector>

#include <CLI/CLI.hpp>

#include "cli/session.h"
#include "model/resource.h"

namespace ctl::cli {

/// Adds -f/--file, which names manifests: files, folders, or - for standard input.
CLI::Option* add_file_option(CLI::App& command, std::vector<std::filesystem::path>& files);

/// Whether the host's policy is held against a stack. What it forbids today may still be looked at and deleted.
enum class PolicyUse { enforced, ignored };

/// Loads, parses and validates; what is to be said goes to `diagnostics`.
[[nodiscard]] model::resource::Stack load_stack(const std::vector<std::filesystem::path>& files,
                                                const GlobalOptions& options, PolicyUse policy, Diagnostics& diagnostics);

/// The same for commands that need a valid stack: prints what is to be said, and gives nothing when there were errors.
[[nodiscard]] std::optional<model::resource::Stack> require_stack(const std::vector<std::filesystem::path>& files,
                                                                  const GlobalOptions& options, PolicyUse policy);

}  // namespace ctl::cli
