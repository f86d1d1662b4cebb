#pragma once

#include <optional>
#include <string_view>

#include "model/schedule.h"

// How long a pool keeps what deleted volumes held.

namespace ctl::model {

/// As snapshots.expiry has it; "0" for not at all.
[[nodiscard]] bool is_trash_time(std::string_view text);

/// What `trash` of a pool says: nothing for 0, a day for nothing or for what is no time.
[[nodiscard]] std::optional<Expiry> trash_time(std::string_view text);

}  // namespace ctl::model
