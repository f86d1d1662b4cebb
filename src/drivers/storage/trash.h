#pragma once

#include <string>

#include "base/result.h"
#include "drivers/storage/backend.h"
#include "drivers/storage/snapshot.h"
#include "drivers/storage/volume.h"
#include "model/host_state.h"

// What deleted volumes held, as long as their pool keeps it: POOL/trash/SECTION.NAME@deleted-YYYYMMDD-HHMMSS is the
// directory of a volume as it was (volume.h), its snapshots too; the time is that of its deletion, in UTC. To all others it
// is a snapshot of the volume, made when that was deleted. It belongs to whoever the volume belonged to.

namespace ctl::drivers::storage {

[[nodiscard]] std::string trash_dir(const std::string& state_dir, const std::string& pool);

/// True for a snapshot that is a deleted volume.
[[nodiscard]] bool is_trash(const SnapshotPlace& place);

/// All that a pool has kept, as snapshots.
[[nodiscard]] Status observe_trash(const std::string& state_dir, const std::string& pool, model::HostState& state);

/// Moves a volume that is ours and mounted nowhere there, in one step.
[[nodiscard]] Status move_to_trash(const VolumePlace& place);

/// Nothing there is success. Errors: conflict when it is not of this owner.
[[nodiscard]] Status remove_trash(const SnapshotPlace& place, const model::ResourceRef& owner);

/// Makes it the volume again, as `wanted`, all at once; what the volume was till now takes its place. Errors: not_found;
/// conflict when the volume is in use, not ours or of another image.
[[nodiscard]] Status restore_trash(const SnapshotPlace& place, const model::Entry& wanted, UserNamespaces& namespaces);

/// Deletes what is older than the pool keeps it, and what an interrupted run has half deleted.
[[nodiscard]] Status sweep_trash(const std::string& state_dir, const std::string& pool, const Backend& backend);

/// Deletes all of it, and its directory.
[[nodiscard]] Status empty_trash(const std::string& state_dir, const std::string& pool, const Backend& backend);

}  // namespace ctl::drivers::storage
