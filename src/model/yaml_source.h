#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "base/diagnostics.h"
#include "base/source_span.h"

namespace ctl::model {

/// The bytes of a YAML file and what its parser can't tell: how long a token is, where an empty value would stand.
class YamlSource {
public:
    /// `text` without a byte order mark; it must outlive this.
    YamlSource(std::string_view text, std::string_view file_name)
        : text_(text), file_(std::make_shared<const std::string>(file_name)) {}

    /// A place with no length; `line` and `column` count from 1.
    [[nodiscard]] SourceSpan place(unsigned line, unsigned column) const { return {file_, line, column, 0}; }

    /// Reports the first byte that no manifest may have (bad UTF-8, NUL, other control characters, a bare carriage return).
    /// True when there is none. One cheap pass.
    [[nodiscard]] bool check_bytes(Diagnostics& diagnostics) const;

    /// Bytes of the scalar that starts at `offset` and reads `value`, as far as it stands on that line.
    [[nodiscard]] unsigned scalar_length(std::size_t offset, std::string_view value) const;

    /// False when the scalar at `offset` opens a quote that nothing closes (yaml-cpp takes the end of the file for it).
    [[nodiscard]] bool is_closed(std::size_t offset) const;

    /// True when the line that holds `offset` is indented with a tab.
    [[nodiscard]] bool is_tab_indented(std::size_t offset) const;

    /// Where the empty value stands that the parser noticed only at `offset`: the last `-`, `,`, `:` or bracket before it.
    [[nodiscard]] SourceSpan before(std::size_t offset, unsigned line, unsigned column) const;

    /// True when the text goes on with `prefix` at `offset`.
    [[nodiscard]] bool has(std::size_t offset, std::string_view prefix) const {
        return offset <= text_.size() && text_.substr(offset).starts_with(prefix);
    }

private:
    std::string_view text_;
    std::shared_ptr<const std::string> file_;
};

}  // namespace ctl::model
