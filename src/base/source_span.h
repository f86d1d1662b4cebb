#pragma once

#include <compare>
#include <memory>
#include <string>

namespace ctl {

/// Where a value stands in a file a person wrote. Lines and columns count from 1; 0 means "no position".
struct SourceSpan {
    std::shared_ptr<const std::string> file;  ///< shared by all spans of one file; null for values nobody wrote
    unsigned line = 0;
    unsigned column = 0;
    unsigned length = 0;  ///< bytes on that line, for the caret line; 0 shows a single caret

    [[nodiscard]] bool is_known() const { return file != nullptr && line != 0; }
    /// "stack.yaml:12:7", "stack.yaml" or "" as far as it is known.
    [[nodiscard]] std::string str() const;
};

}  // namespace ctl
