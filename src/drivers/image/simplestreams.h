#pragma once

#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "drivers/image/download.h"

namespace ctl::drivers::image {

/// An image as a server offers it: two files, and the fingerprint that they have together.
struct Offer {
    Download metadata;
    Download rootfs;
    std::string fingerprint;
    std::string version;
};

/// The path of the products' document that an index names for images. Errors: invalid, not_found.
[[nodiscard]] Result<std::vector<std::string>> read_index(std::string_view json);

/// The newest version of the product with the alias, for an architecture as Debian calls it, or nothing without one. URLs
/// are paths on the server. Errors: invalid.
[[nodiscard]] Result<std::optional<Offer>> find_offer(std::string_view json, std::string_view alias,
                                                      std::string_view architecture);

/// Asks a server of the simplestreams protocol. `architecture`: as Debian calls it, "" for this machine's. Errors:
/// not_found when it offers no such image; those of fetch().
[[nodiscard]] Result<Offer> ask_server(const std::string& server, const std::string& alias, const std::string& architecture,
                                       const Trust& trust, std::stop_token stop);

}  // namespace ctl::drivers::image
