#pragma once

#include <string>
#include <vector>

#include "cli/listing.h"

namespace ctl::cli {

/// Containers as an inventory of Ansible's: what an inventory script prints for --list, with the variables of every host in
/// `_meta`. Groups: running, stopped, frozen, and stack_NAME and image_NAME with what Ansible takes in names.
[[nodiscard]] std::string items_to_ansible(const std::vector<Item>& containers);

}  // namespace ctl::cli
