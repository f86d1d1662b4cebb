#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/diagnostics.h"
#include "model/node.h"
#include "model/resource.h"

namespace ctl::model {

/// Resources from documents, checked against the schemas: stack documents and single objects with `kind:`, mixed as one
/// likes. All documents together are one stack; `default_name` names it when no document says `stack: NAME`. Every fault
/// goes to `diagnostics`; what could be read is returned all the same, so that later checks find their faults too.
[[nodiscard]] resource::Stack parse(std::span<const Node> documents, std::string_view default_name,
                                    Diagnostics& diagnostics);

/// Loads files and directories (all *.yaml and *.yml in it, by name, not recursive) and parses them as one stack, named by
/// the first path's file or folder name unless a document says so. "-" is standard input.
[[nodiscard]] resource::Stack load_stack(std::span<const std::filesystem::path> paths, Diagnostics& diagnostics);

}  // namespace ctl::model
