#pragma once

#include <filesystem>
#include <string_view>
#include <vector>

#include "base/diagnostics.h"
#include "model/node.h"

namespace ctl::model {

/// Bounds on what the loader reads: within them the worst input costs about a second and 200 MB. Twenty thousand containers
/// with a NIC each fit.
struct YamlLimits {
    std::size_t bytes = std::size_t{8} << 20;
    unsigned depth = 64;
    std::size_t nodes = 600'000;
};

/// The documents of a YAML stream, with positions. Faults (syntax, duplicate keys, aliases, anchors, bad UTF-8, control
/// characters, depth, size) go to `diagnostics`; the documents that are whole all the same are returned.
[[nodiscard]] std::vector<Node> load_yaml(std::string_view text, std::string_view file_name, Diagnostics& diagnostics,
                                          const YamlLimits& limits = {});

/// The same for a file; not being able to read it is a diagnostic at the file.
[[nodiscard]] std::vector<Node> load_yaml_file(const std::filesystem::path& path, Diagnostics& diagnostics,
                                               const YamlLimits& limits = {});

}  // namespace ctl::model
