#pragma once

#include <string>

#include "base/result.h"
#include "model/host_state.h"
#include "reconcile/journal.h"

namespace ctl::cli {

/// The resource of that kind and name, with the stack that applied it. not_found when none has.
[[nodiscard]] Result<model::ResourceRef> find_resource(reconcile::Journal& journal, const std::string& kind,
                                                       const std::string& name);

}  // namespace ctl::cli
