#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/diagnostics.h"

namespace ctl::cli {

enum class DiagnosticsFormat { text, json, github, sarif, junit };

/// text, json, github, sarif or junit.
[[nodiscard]] std::optional<DiagnosticsFormat> format_from(std::string_view name);

struct TextOptions {
    bool colour = false;
    bool source_lines = true;  ///< the line of the manifest with a caret below
};

/// For people: "stack.yaml:3:7: error: message; hint", then the line it is about with a caret below.
[[nodiscard]] std::string render_text(const Diagnostics& diagnostics, const TextOptions& options = {});

/// For people (without colours) or programs: json is versioned ("ctl.diagnostics/1"), github prints workflow commands, sarif
/// is SARIF 2.1.0, junit has one test case per file. `files` are those that were read: junit lists them even without faults.
[[nodiscard]] std::string render(const Diagnostics& diagnostics, DiagnosticsFormat format,
                                 std::span<const std::string> files = {});

}  // namespace ctl::cli
