#pragma once

#include <optional>
#include <string>
#include <vector>

#include "model/lowering.h"
#include "model/parse_reader.h"
#include "model/validation.h"

// Containers that wait for others: what stands under depends_on, from the manifest to objects.

namespace ctl::model {

/// A list of names, or of maps with `container` and what it has to have reached.
[[nodiscard]] std::vector<resource::Dependency> read_depends_on(const Node* list);

/// That each dependency asks for one condition, and for one that there is. Its container is looked for elsewhere.
void validate_readiness(Validation& validation, const resource::Dependency& dependency);

/// What the container has to wait for before it starts, as needs of it.
void lower_depends_on(Lowering& lowering, const resource::Container& container, std::vector<Need>& needs);

}  // namespace ctl::model
