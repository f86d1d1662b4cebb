#pragma once

#include <map>
#include <string>

#include "base/diagnostics.h"
#include "model/resource.h"

// How groups of a container's keys become fields of its object; each is told where every field was written.

namespace ctl::model {

using Places = std::map<std::string, SourceSpan>;

/// limits.* and limits.kernel.*, save for limits.cpu as a count.
void lower_limits(const Config& config, Container& object, Places& places, Diagnostics& diagnostics);

}  // namespace ctl::model
