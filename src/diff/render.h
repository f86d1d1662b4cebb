#pragma once

#include <string>

#include "diff/change.h"

namespace ctl::diff {

struct RenderOptions {
    bool colour = false;
};

/// One change as a person reads it: symbol, object, verb, reason, then a line per field "name: before → after (effect, why,
/// where)".
[[nodiscard]] std::string to_text(const Change& change, const RenderOptions& options);
/// The same as a JSON object (see docs/reference/json.md).
[[nodiscard]] std::string to_json(const Change& change);

}  // namespace ctl::diff
