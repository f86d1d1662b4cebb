#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/diagnostics.h"
#include "diff/change.h"
#include "model/host_state.h"

namespace ctl::diff {

/// The three states of one stack, and what the other stacks have recorded.
struct Input {
    const model::HostState& desired;
    const model::HostState& observed;
    const model::HostState& recorded;
    const model::HostState& others;
    std::string stack;
    /// Overrides every container's own policy (--restart).
    std::optional<model::OnRestartNeeded> on_restart_needed = std::nullopt;
};

struct Output {
    std::vector<Change> changes;  ///< by ObjectId, one per object, equal objects left out
    Diagnostics diagnostics;      ///< conflicts (foreign or other stacks' objects), refused changes, prevent_destroy
};

/// Desired against observed against recorded, by the rules of docs/adr: absent is unmanaged, removed is unset or deleted,
/// what isn't ours is a conflict. Consequences of a replacement reach the objects that need it (see model::Bond). Pure.
[[nodiscard]] Output diff(const Input& input);

/// Does the host show what was wanted? The fields of `wanted` that `seen` does not have, sets of members as "at least".
/// Empty means verified. A null `seen` is an object that isn't there: its one finding has an empty name.
[[nodiscard]] std::vector<FieldChange> unmet(const model::Object& wanted, const model::Object* seen);

}  // namespace ctl::diff
