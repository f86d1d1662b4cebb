#pragma once

#include <optional>

#include "base/diagnostics.h"
#include "diff/diff.h"

namespace ctl::diff {

/// What is desired, with the states of containers that a person holds by hand in place of the manifest's; a note for each.
/// Where the manifest has changed its mind since, it is obeyed. Nothing when nothing is held.
[[nodiscard]] std::optional<model::HostState> with_held_states(const Input& input, Diagnostics& notes);

}  // namespace ctl::diff
