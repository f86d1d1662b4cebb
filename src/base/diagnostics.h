#pragma once

#include <string>
#include <vector>

#include "base/error.h"

namespace ctl {

enum class Severity { error, warning, note };

/// One thing to tell the author of a manifest, pinned to a place in it.
struct Diagnostic {
    Severity severity = Severity::error;
    std::string rule;     ///< stable identifier, e.g. "unknown-key"; SARIF's ruleId
    std::string message;  ///< lower case, no full stop, with the value seen (escaped)
    SourceSpan where;
    std::string hint;  ///< what to type; may be empty
};

/// Collects all that is to be said about some input, in the order it was found.
class Diagnostics {
public:
    void error(std::string rule, std::string message, SourceSpan where, std::string hint = {});
    void warning(std::string rule, std::string message, SourceSpan where, std::string hint = {});
    void note(std::string rule, std::string message, SourceSpan where, std::string hint = {});
    void add(Diagnostic diagnostic);
    void append(const Diagnostics& other);

    [[nodiscard]] bool has_errors() const { return errors_ != 0; }
    [[nodiscard]] std::size_t error_count() const { return errors_; }
    [[nodiscard]] const std::vector<Diagnostic>& all() const { return all_; }
    [[nodiscard]] bool empty() const { return all_.empty(); }
    /// By file, line, column; equal places keep the order in which they were found.
    void sort_by_place();

private:
    std::vector<Diagnostic> all_;
    std::size_t errors_ = 0;
};

}  // namespace ctl
