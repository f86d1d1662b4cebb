#include "base/error.h"

#include <cerrno>
#include <system_error>

#include <fmt/format.h>

namespace ctl {

std::string_view to_string(ErrorCode code) {
    switch (code) {
        case ErrorCode::internal: return "internal";
        case ErrorCode::io: return "io";
        case ErrorCode::invalid: return "invalid";
        case ErrorCode::not_found: return "not_found";
        case ErrorCode::conflict: return "conflict";
        case ErrorCode::permission: return "permission";
        case ErrorCode::unsupported: return "unsupported";
        case ErrorCode::missing_driver: return "missing_driver";
        case ErrorCode::no_space: return "no_space";
        case ErrorCode::timeout: return "timeout";
        case ErrorCode::locked: return "locked";
        case ErrorCode::stale: return "stale";
        case ErrorCode::policy: return "policy";
        case ErrorCode::cancelled: return "cancelled";
        case ErrorCode::diverging: return "diverging";
    }
    return "internal";
}

Error&& Error::at(SourceSpan where) && {
    where_ = std::move(where);
    return std::move(*this);
}

Error&& Error::hint(std::string text) && {
    hint_ = std::move(text);
    return std::move(*this);
}

Error&& Error::while_(std::string doing) && {
    context_.push_back(std::move(doing));
    return std::move(*this);
}

Error&& Error::caused_by(Error cause) && {
    cause_ = std::make_shared<const Error>(std::move(cause));
    return std::move(*this);
}

std::string Error::str() const {
    std::string text;
    for (auto it = context_.rbegin(); it != context_.rend(); ++it) text += fmt::format("while {}: ", *it);
    text += message_;
    if (cause_) text += ": " + cause_->str();
    if (!hint_.empty()) text += "; " + hint_;
    return text;
}

Error system_error(int errno_value, std::string_view doing) {
    ErrorCode code = ErrorCode::io;
    switch (errno_value) {
        case EPERM:
        case EACCES: code = ErrorCode::permission; break;
        case ENOSPC:
        case EDQUOT: code = ErrorCode::no_space; break;
        case EOPNOTSUPP:
        case ENOSYS: code = ErrorCode::unsupported; break;
        case ENOENT: code = ErrorCode::not_found; break;
        case ETIMEDOUT: code = ErrorCode::timeout; break;
        default: break;
    }
    return {code, fmt::format("{}: {}", doing, std::generic_category().message(errno_value))};
}

}  // namespace ctl
