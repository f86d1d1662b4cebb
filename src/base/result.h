#pragma once

#include <tl/expected.hpp>

#include "base/error.h"

namespace ctl {

/// A value or the first Error. A class of its own because g++ 12 ignores [[nodiscard]] on virtual functions but honours
/// it on types.
template <typename T>
class [[nodiscard]] Result : public tl::expected<T, Error> {
public:
    using tl::expected<T, Error>::expected;
    Result(Error error) : tl::expected<T, Error>(tl::unexpect, std::move(error)) {}  // NOLINT(google-explicit-constructor)
};

/// An operation that yields nothing but success.
using Status = Result<void>;

/// The success value of a Status.
[[nodiscard]] inline Status ok() { return {}; }

}  // namespace ctl

/// Returns the error of `expr` (a Result) from the enclosing function, else goes on.
#define CTL_TRY(expr)                                                                                \
    do {                                                                                             \
        if (auto ctl_try_result = (expr); !ctl_try_result) return std::move(ctl_try_result).error(); \
    } while (false)

#define CTL_CONCAT_INNER(a, b) a##b
#define CTL_CONCAT(a, b) CTL_CONCAT_INNER(a, b)

/// `CTL_ASSIGN(auto x, f());` declares x from a Result, or returns its error.
#define CTL_ASSIGN(declaration, expr) CTL_ASSIGN_IMPL(CTL_CONCAT(ctl_assign_, __LINE__), declaration, expr)
#define CTL_ASSIGN_IMPL(temporary, declaration, expr)    \
    auto temporary = (expr);                             \
    if (!temporary) return std::move(temporary).error(); \
    declaration = std::move(*temporary)
