#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/source_span.h"

namespace ctl {

/// What kind of failure it is. Callers branch on this, never on the text.
enum class ErrorCode {
    internal,        ///< our own defect
    io,              ///< a system call or a library failed
    invalid,         ///< input that breaks a rule
    not_found,       ///< a named thing is not there
    conflict,        ///< a name is taken by something that is not ours
    permission,      ///< not root, or the kernel refused
    unsupported,     ///< this kernel, machine or version of ctl can't do it
    missing_driver,  ///< a driver, tool or kernel feature the manifest needs is not there
    no_space,        ///< the disk is full or would be
    timeout,         ///< a deadline passed
    locked,          ///< another ctl holds the lock
    stale,           ///< the host changed since the plan was made
    policy,          ///< refused by a rule of the user's, or for want of a confirmation
    cancelled,       ///< interrupted before it began
    diverging,       ///< applied, but the host does not show it
};

/// Stable lower-case name of a code, as in JSON output: "not_found".
[[nodiscard]] std::string_view to_string(ErrorCode code);

/// One failure: what, where in the YAML, what to do about it, what caused it.
class Error {
public:
    Error(ErrorCode code, std::string message) : code_(code), message_(std::move(message)) {}

    /// Where in a manifest the cause stands.
    Error&& at(SourceSpan where) &&;
    /// What the person can type to mend it.
    Error&& hint(std::string text) &&;
    /// What was being done: "creating container/web". The outermost is added last.
    Error&& while_(std::string doing) &&;
    Error&& caused_by(Error cause) &&;

    [[nodiscard]] ErrorCode code() const { return code_; }
    [[nodiscard]] const std::string& message() const { return message_; }
    [[nodiscard]] const SourceSpan& where() const { return where_; }
    [[nodiscard]] const std::string& hint() const { return hint_; }
    [[nodiscard]] const std::vector<std::string>& context() const { return context_; }
    [[nodiscard]] const Error* cause() const { return cause_.get(); }

    /// One line: "while creating container/web: message: cause; hint".
    [[nodiscard]] std::string str() const;

private:
    ErrorCode code_;
    std::string message_;
    SourceSpan where_;
    std::string hint_;
    std::vector<std::string> context_;  // innermost first
    std::shared_ptr<const Error> cause_;
};

/// An io, permission, no_space or unsupported error for `errno_value`, with the kernel's own text: "open /x: No such file".
[[nodiscard]] Error system_error(int errno_value, std::string_view doing);

}  // namespace ctl
