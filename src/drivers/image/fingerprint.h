#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

struct evp_md_ctx_st;

namespace ctl::drivers::image {

/// SHA-256 over the bytes it is fed.
class Fingerprint {
public:
    Fingerprint();
    void add(std::string_view bytes);
    /// All that is left to read of an open file.
    [[nodiscard]] Status add_rest(int fd);
    /// 64 lower-case hex digits; feeds nothing more afterwards.
    [[nodiscard]] std::string finish();

private:
    struct Free {
        void operator()(evp_md_ctx_st* context) const;
    };
    std::unique_ptr<evp_md_ctx_st, Free> context_;
};

/// A fingerprint of a directory tree: sorted paths with kind, mode, owner, content, link target and extended attributes;
/// times don't count.
[[nodiscard]] Result<std::string> tree_fingerprint(int root);

}  // namespace ctl::drivers::image
