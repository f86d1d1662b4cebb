#pragma once

#include <map>

#include "base/diagnostics.h"
#include "diff/diff.h"

namespace ctl::diff {

/// Carries what replacing, making again or restarting an object means to the objects bound to it (see model::Bond) into
/// `changes`, until nothing more follows.
void propagate_bonds(const Input& input, std::map<model::ObjectId, Change>& changes, Diagnostics& diagnostics);

}  // namespace ctl::diff
