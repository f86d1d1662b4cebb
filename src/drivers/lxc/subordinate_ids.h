#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace ctl::drivers::lxc {

/// Are a container's ids (model::Container::idmap) root's to give? `table` is subuid(5) or subgid(5), `file` its name for
/// the message. Where it says nothing of root, all ids are.
[[nodiscard]] Status check_subordinate_ids(const std::string& idmap, std::string_view table, std::string_view file);

}  // namespace ctl::drivers::lxc
