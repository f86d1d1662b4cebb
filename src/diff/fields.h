#pragma once

#include <optional>
#include <string>
#include <vector>

#include "diff/change.h"
#include "model/host_state.h"

namespace ctl::diff {

/// The three-way decision for every field: what of `desired` the object seen lacks, and what was recorded but is wanted no
/// more. A null `recorded` means nothing was ours before. All three are of one kind.
[[nodiscard]] std::vector<FieldChange> field_changes(const model::Entry& desired, const model::Object& observed,
                                                     const model::Object* recorded);

/// The fields that were ours on something we only borrowed and that still have our value, as changes back to the default.
/// Fields that `others` sets as well stay, and an interface that is up stays up.
[[nodiscard]] std::vector<FieldChange> release_changes(const model::Object& recorded, const model::Object& observed,
                                                       const model::Object* others);

/// Every field that is set, as a change that begins from nothing known.
[[nodiscard]] std::vector<FieldChange> all_fields(const model::Entry& desired);

/// `desired` with the members that the changes leave in merged sets.
[[nodiscard]] model::Entry with_members(model::Entry desired, const std::vector<FieldChange>& fields);

/// Names of the fields that both set to different values.
[[nodiscard]] std::vector<std::string> disagreements(const model::Object& a, const model::Object& b);

}  // namespace ctl::diff
