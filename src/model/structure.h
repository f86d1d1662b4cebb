#pragma once

#include "base/diagnostics.h"
#include "model/node.h"
#include "model/schema.h"

namespace ctl::model {

/// Holds the shape of a document against the schema of its kind: maps, lists and texts where they belong, no unknown fields,
/// none missing. Keys under `config:` and of devices are not looked at (they depend on types), only that they are texts.
/// At most `limit` faults are reported, then one that says there are more.
void check_structure(const Node& document, SchemaKind kind, std::size_t limit, Diagnostics& diagnostics);

}  // namespace ctl::model
