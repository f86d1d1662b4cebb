#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "drivers/storage/backend.h"
#include "model/host_state.h"

// Pools: directories that keep volumes, or file systems on a disk of their own (disk.h).

namespace ctl::drivers::storage {

/// Where a pool keeps its volumes: STATE_DIR/pools/NAME/containers.
[[nodiscard]] std::string containers_dir(const std::string& state_dir, const std::string& pool);

/// The pool's custom volumes: STATE_DIR/pools/NAME/custom.
[[nodiscard]] std::string custom_dir(const std::string& state_dir, const std::string& pool);

/// All pools, or only those of these names, and directories in their place that are not ours.
[[nodiscard]] Result<model::HostState> observe_pools(const std::string& state_dir,
                                                     const std::optional<std::set<std::string>>& only);

/// Makes the directory or disk, its mark and the link to it as far as they are missing; mounts a disk. Errors: conflict when
/// the directory keeps containers of somebody else or belongs to another pool.
[[nodiscard]] Status create_pool(const std::string& state_dir, const model::Entry& wanted, const std::string& name);

/// Checks without writing that create_pool can work.
[[nodiscard]] Status check_pool(const std::string& state_dir, const model::Entry& wanted, const std::string& name);

/// Removes mark, link and directories of ours; what else is in the pool's directory stays. Errors: conflict when there are
/// volumes or the pool is not ours.
[[nodiscard]] Status remove_pool(const std::string& state_dir, const model::ResourceRef& owner, const std::string& name);

/// How long the pool keeps deleted volumes, as the manifest has it; empty when that says nothing.
[[nodiscard]] std::string trash_of_pool(const std::string& state_dir, const std::string& name);

/// Writes another owner into a pool's mark; nobody when `owner` is null.
[[nodiscard]] Status mark_pool(const std::string& state_dir, const std::string& name, const model::ResourceRef* owner);

/// Deletes what an interrupted run left half made or half deleted in a pool; gives what kept it from that, by volume.
[[nodiscard]] Result<std::map<model::ObjectId, Error>> sweep_pool(const std::string& state_dir, const std::string& name,
                                                                  const Backend& backend);

/// What a pool with our mark does its own way. Errors: not_found when there is none of that name.
[[nodiscard]] Result<const Backend*> backend_of(const std::string& state_dir, const std::string& name);

}  // namespace ctl::drivers::storage
