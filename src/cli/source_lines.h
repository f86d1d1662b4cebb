#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/source_span.h"

namespace ctl::cli {

/// The lines that diagnostics are about, read from their files when first asked for.
class SourceLines {
public:
    /// The line at a place, without its end; nothing when the file is no regular file, too large or has changed.
    [[nodiscard]] std::optional<std::string_view> line(const SourceSpan& where);

    /// The column in code points, as editors count; that of the span (bytes) when the line can't be read.
    [[nodiscard]] unsigned code_point_column(const SourceSpan& where, unsigned byte_column);

private:
    struct File {
        std::string text;
        std::vector<std::size_t> starts;
    };
    const File& file(const std::string& path);

    std::map<std::string, File, std::less<>> files_;
};

/// How many code points the text has; continuation bytes don't count.
[[nodiscard]] unsigned code_points(std::string_view text);

}  // namespace ctl::cli
