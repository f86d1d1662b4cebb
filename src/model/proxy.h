#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/lowering.h"
#include "model/traffic.h"
#include "model/validation.h"

// Devices of type proxy: what hands on connections between the host and a container.

namespace ctl::model {

/// One side of a proxy: tcp:ADDRESS:PORTS, udp:ADDRESS:PORTS, unix:PATH or unix:@NAME.
struct ProxyEnd {
    std::string protocol;  ///< tcp, udp or unix
    std::optional<IpAddress> address;
    std::vector<std::uint16_t> ports;  ///< in their order
    std::string path;                  ///< of a Unix socket; an abstract one's begins with @

    [[nodiscard]] bool is_wildcard() const;
    [[nodiscard]] static std::optional<ProxyEnd> parse(std::string_view text);
};

void validate_proxy(Validation& validation, const resource::Container& container, const std::string& device_name,
                    const resource::Device& device);

/// The container's proxies: a forwarder each, or with `nat` rules of a table of the container's.
void lower_proxies(Lowering& lowering, const resource::Container& container);

}  // namespace ctl::model
