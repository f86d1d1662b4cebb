#pragma once

#include <optional>

#include "base/fd.h"
#include "base/id_map.h"
#include "base/result.h"
#include "base/tree.h"

namespace ctl::drivers::storage {

/// From ids as one map has them on disk to ids as another has. Errors: unsupported when the ranges overlap, for then a
/// shift that was cut short could not be taken up again.
[[nodiscard]] Result<IdShift> shift_between(const std::optional<IdMap>& from, const std::optional<IdMap>& to);

/// A user namespace with this map for users and groups, alive as long as the descriptor.
[[nodiscard]] Result<Fd> make_user_namespace(const IdMap& map);

}  // namespace ctl::drivers::storage
