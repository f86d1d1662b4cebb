#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "model/host_state.h"

namespace ctl::drivers {

/// Group number that every link of ours is born with (IFLA_GROUP); 0x63746C is "ctl". Ownership at birth, before the alias.
inline constexpr unsigned link_group = 0x63746C;
/// Group into which links are moved to be deleted in one request; never holds anything else.
inline constexpr unsigned doomed_link_group = 0x63746D;

/// The mark a thing of ours carries on the host (link alias, line in a config, file): it names its own coordinates, so that
/// a copy of the thing is not taken for ours. "ctl:1:lab:Network/lanbr:link/lanbr".
[[nodiscard]] std::string make_mark(const model::ResourceRef& owner, const model::ObjectId& id);

/// The owner a mark names, if it is a mark of ours and names `id`; nothing otherwise.
[[nodiscard]] std::optional<model::ResourceRef> read_mark(std::string_view mark, const model::ObjectId& id);

/// The object a mark of ours names, whatever carries it.
[[nodiscard]] std::optional<model::ObjectId> marked_object(std::string_view mark);

}  // namespace ctl::drivers
