#pragma once

#include <cstdint>
#include <functional>
#include <stop_token>
#include <string>
#include <string_view>

#include "base/result.h"

namespace ctl::drivers::image {

/// One request to a web server.
struct Request {
    std::string url;
    std::string certificate;  ///< PEM of who is trusted; empty: whom the system trusts
    std::int64_t from = 0;    ///< first byte that is wanted
    std::string unchanged;    ///< with `from`: the validator of the content it goes on with
};

struct Response {
    long status = 0;
    std::string validator;    ///< ETag, or else Last-Modified; may be empty
    std::int64_t length = 0;  ///< bytes of the body that follows; 0: the server doesn't say
};

/// Takes the next bytes of a body; false ends the transfer.
using Sink = std::function<bool(std::string_view bytes)>;
/// Is told the answer before the first byte of its body; false ends the transfer.
using Begin = std::function<bool(const Response& response)>;

/// Asks once, follows redirects (never from https to http), hands on the body of an answer that is 200 or 206. Errors: io
/// for whatever the network or the server does, with status 4xx `not_found`; cancelled.
[[nodiscard]] Result<Response> transfer(const Request& request, const Begin& begin, const Sink& sink, std::stop_token stop);

}  // namespace ctl::drivers::image
