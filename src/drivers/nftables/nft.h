#pragma once

#include <memory>
#include <string>

#include "base/result.h"

struct nft_ctx;

namespace ctl::drivers::nftables {

/// Whether this process may speak to the kernel's nf_tables here. Errors: `missing_driver` for a kernel without it,
/// `permission` without CAP_NET_ADMIN.
[[nodiscard]] Status check_access();

/// libnftables in one network namespace. Made on first use: the library ends the program where the kernel has no nf_tables,
/// so check_access() comes first.
class Nft {
public:
    /// This process's own namespace.
    Nft() = default;
    /// The namespace of a file such as /run/ctl/namespaces/web/net.
    explicit Nft(std::string netns) : netns_(std::move(netns)) {}

    /// Runs commands as one transaction: all of them or none. The value is what they print, as `nft -s` does. An error has
    /// nft's or the kernel's own words and the line of ours that they are about.
    [[nodiscard]] Result<std::string> run(const std::string& commands);

private:
    struct Free {
        void operator()(nft_ctx* context) const;
    };
    [[nodiscard]] Status open();

    std::string netns_;
    std::unique_ptr<nft_ctx, Free> context_;
};

}  // namespace ctl::drivers::nftables
