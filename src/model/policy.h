#pragma once

#include <filesystem>
#include <optional>

#include "base/diagnostics.h"
#include "model/lower.h"
#include "model/resource.h"

namespace ctl::model {

/// What manifests may ask of this host: a file with what `lxc project show` prints of a restricted project. Checked against
/// its schema; nothing when it can't be read, and then `diagnostics` has the errors.
[[nodiscard]] std::optional<Config> load_policy(const std::filesystem::path& file, Diagnostics& diagnostics);

/// Every key, device and source of a valid stack that the policy forbids is an error where it is written. `layout`: what
/// relative paths are relative to.
void check_policy(const Config& policy, const resource::Stack& stack, const HostLayout& layout, Diagnostics& diagnostics);

}  // namespace ctl::model
