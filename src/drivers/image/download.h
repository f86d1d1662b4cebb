#pragma once

#include <cstdint>
#include <stop_token>
#include <string>

#include "base/result.h"

namespace ctl::drivers::image {

/// Whom a server's word is taken from.
struct Trust {
    std::string certificate;  ///< PEM: accepted instead of what the system trusts; may be empty
};

/// A file to be got.
struct Download {
    std::string url;          ///< https:// or http://
    std::string sha256;       ///< what it has to be; empty if unknown
    std::int64_t size = 0;    ///< bytes it has to have; 0 if unknown
    std::string certificate;  ///< see Trust
};

/// Gets a small file into memory. Errors: io, invalid beyond `limit` bytes, cancelled.
[[nodiscard]] Result<std::string> fetch(const std::string& url, const Trust& trust, std::size_t limit, std::stop_token stop);

/// Gets a file into the directory `store`; the value is its path there. What a cut connection or a killed run left is taken
/// up where it ended, if the server can do that and its file is still the same. The connection is tried again while it
/// brings something. Errors: io; invalid when the content isn't what it has to be (nothing of it is kept then); no_space;
/// cancelled.
[[nodiscard]] Result<std::string> download(const std::string& store, const Download& wanted, std::stop_token stop);

/// Deletes downloads, whole or not, that nobody has touched for days.
[[nodiscard]] Status expire_downloads(const std::string& store);

}  // namespace ctl::drivers::image
