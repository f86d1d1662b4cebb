#pragma once

#include "model/resource.h"

namespace ctl::model {

/// The container with its profiles layered under it as LXD does: profiles in order, then the container; config merges per
/// key, devices replace per name, `override:` merges into the inherited device, `type: none` masks. Values keep the places
/// where they were written. Profiles that don't exist are skipped (validate() reports them).
[[nodiscard]] resource::Container layered(const resource::Container& container, const resource::Stack& stack);

/// The stack with every container layered, and with its image by name where it stands by alias.
[[nodiscard]] resource::Stack resolve(const resource::Stack& stack);

}  // namespace ctl::model
