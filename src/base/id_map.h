#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace ctl {

/// User and group ids of a container and the host's ids for them: "CONTAINER:HOST:COUNT".
struct IdMap {
    std::uint32_t container = 0;
    std::uint32_t host = 0;
    std::uint32_t count = 0;

    /// Nothing for "none" and for "". Errors: invalid.
    [[nodiscard]] static Result<std::optional<IdMap>> parse(std::string_view text);
    /// The ids of a container that has the host's own.
    [[nodiscard]] static IdMap identity() { return {0, 0, ~std::uint32_t{0}}; }

    /// Nothing where the container has no such id.
    [[nodiscard]] std::optional<std::uint32_t> to_host(std::uint32_t id) const;
    /// Nothing for an id of the host that the container sees as nobody's.
    [[nodiscard]] std::optional<std::uint32_t> to_container(std::uint32_t id) const;
    /// "CONTAINER HOST COUNT", as the kernel's uid_map and liblxc's lxc.idmap want it.
    [[nodiscard]] std::string line() const;

    bool operator==(const IdMap&) const = default;
};

}  // namespace ctl
