#pragma once

#include <string>

#include "model/object.h"

namespace ctl::drivers::storage {

[[nodiscard]] inline model::ObjectId pool_id(const std::string& name) { return {model::ObjectKind::pool, name}; }

/// Where a pool is found: its directory, a link to it, or where its file system is mounted.
[[nodiscard]] inline std::string place_of(const std::string& state_dir, const std::string& name) {
    return state_dir + "/pools/" + name;
}

}  // namespace ctl::drivers::storage
