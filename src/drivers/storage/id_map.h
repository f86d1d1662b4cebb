#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/fd.h"
#include "base/result.h"
#include "base/tree.h"

namespace ctl::drivers::storage {

/// Ids of a container and the host's ids for them.
struct IdMap {
    std::uint32_t container = 0;
    std::uint32_t host = 0;
    std::uint32_t count = 0;

    /// "CONTAINER:HOST:COUNT"; nothing for "none" and for "". Errors: invalid.
    [[nodiscard]] static Result<std::optional<IdMap>> parse(std::string_view text);
    /// The host's ids for the container's root.
    [[nodiscard]] std::uint32_t root() const { return host; }
};

/// From ids as one map has them on disk to ids as another has. Errors: unsupported when the ranges overlap, for then a
/// shift that was cut short could not be taken up again.
[[nodiscard]] Result<IdShift> shift_between(const std::optional<IdMap>& from, const std::optional<IdMap>& to);

/// A user namespace with this map for users and groups, alive as long as the descriptor.
[[nodiscard]] Result<Fd> make_user_namespace(const IdMap& map);

}  // namespace ctl::drivers::storage
