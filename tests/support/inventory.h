#pragma once

#include <set>
#include <string>
#include <vector>

#include "support/sandbox.h"

namespace ctl::testing {

/// What stands in a sandbox, a line per fact and thing: links and their addresses, files of ctl, mounts, cgroups, namespaces
/// and processes.
using Inventory = std::multiset<std::string>;

[[nodiscard]] Inventory take_inventory(const Sandbox& sandbox);

/// "gone: …" and "new: …", a line each; "" if they are the same.
[[nodiscard]] std::string differences(const Inventory& before, const Inventory& after);

/// Waits for what is still ending; the differences that stay.
[[nodiscard]] std::string lasting_differences(const Sandbox& sandbox, const Inventory& expected);

}  // namespace ctl::testing
