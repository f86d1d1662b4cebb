#pragma once

#include <map>

#include "diff/diff.h"

namespace ctl::diff {

/// A readiness is nothing that a host has: it is waited for only on behalf of a container that starts in this very plan.
void drop_idle_waits(const Input& input, std::map<model::ObjectId, Change>& changes);

}  // namespace ctl::diff
