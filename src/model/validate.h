#pragma once

#include "base/diagnostics.h"
#include "model/resource.h"

namespace ctl::model {

/// What the schemas can't say, offline and all faults at once: references exist, names are unique, addresses fit their
/// networks, interfaces have one owner, every container has one root disk, no cycles. Takes the stack before layering. Does
/// nothing when `diagnostics` says that a document could not be read: references to it would seem to lead nowhere.
void validate(const resource::Stack& stack, Diagnostics& diagnostics);

}  // namespace ctl::model
