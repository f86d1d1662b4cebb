#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "drivers/proxy/forward.h"
#include "model/object.h"

// A forwarder's configuration: a file of "key value" lines below a comment with our mark. It is written only while no
// forwarder runs with it, so it tells what a running one was started with.

namespace ctl::drivers::proxy {

struct ConfigText {
    std::string mark;
    model::Proxy proxy;
    std::string container;
    std::string lxcpath;
    std::string network;  ///< path of the pinned network namespace
    std::uint64_t namespace_number = 0;
};

/// `invalid` for values that would not stay on their line.
[[nodiscard]] Result<std::string> render(const ConfigText& config);
[[nodiscard]] ConfigText parse_config(std::string_view text);

}  // namespace ctl::drivers::proxy
