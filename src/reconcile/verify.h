#pragma once

#include "base/result.h"
#include "diff/change.h"
#include "model/host_state.h"

namespace ctl::reconcile {

/// Does the host show what this change was for? If not, an error `diverging` that says what is wanted and what is there.
/// Pure.
[[nodiscard]] Status verified(const diff::Change& change, const model::HostState& seen);

}  // namespace ctl::reconcile
