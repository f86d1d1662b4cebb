#pragma once

#include <string_view>

#include "base/diagnostics.h"
#include "diff/change.h"
#include "diff/diff.h"

namespace ctl::diff {

/// True when the change finds a container that is running (or frozen) and that shall go on running.
[[nodiscard]] bool keeps_running(const Change& change);

/// What to do with a running container when a change needs a restart: the run's word, else the container's own.
[[nodiscard]] model::OnRestartNeeded restart_policy(const Input& input, const model::Entry& desired);

/// The error for deleting or replacing what prevent_destroy guards.
void refuse_destroy(Diagnostics& diagnostics, const model::ObjectId& id, Verb verb, const model::Entry& guarded,
                    std::string_view reason);

/// Bends a change to the lifecycle a person asked for: refuses a guarded replacement, defers or refuses a restart, and
/// counts what needs a restart as live on a container that doesn't run. False: refused, and `diagnostics` says why.
[[nodiscard]] bool apply_policy(const Input& input, Change& change, Diagnostics& diagnostics);

/// Makes an update of a running container one that restarts it because `source` is changed under it ("is replaced"). False:
/// its policy forbids that, and `diagnostics` says so.
[[nodiscard]] bool restart_for(const Input& input, Change& change, const Change& source, Diagnostics& diagnostics);

}  // namespace ctl::diff
