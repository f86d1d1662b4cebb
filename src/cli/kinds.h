#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace ctl::cli {

/// The resource kind a person means: "container", "containers", "Container", "c" → "Container".
[[nodiscard]] std::optional<std::string> resource_kind(std::string_view text);

}  // namespace ctl::cli
