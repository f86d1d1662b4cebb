#pragma once

#include <string>

#include "base/result.h"
#include "drivers/storage/backend.h"
#include "drivers/storage/volume.h"
#include "model/host_state.h"

// What a volume held at a moment: VOLUME/snapshots/NAME, with
//   snapshot   when it was made and how long it is kept
//   data/      a copy of the volume's writable tree, which nobody can write where the pool clones trees
// It belongs to whoever the volume belongs to, and goes with it. A deleted volume that is kept is a snapshot too: trash.h.

namespace ctl::drivers::storage {

/// A snapshot's name and the volume it is of.
struct SnapshotPlace {
    VolumePlace volume;
    std::string name;

    /// From VOLUME@NAME. Errors: invalid.
    [[nodiscard]] static Result<SnapshotPlace> parse(const std::string& state_dir, const std::string& id);
    [[nodiscard]] std::string parent() const;
    [[nodiscard]] std::string path() const { return parent() + "/" + name; }
    [[nodiscard]] model::ObjectId id() const { return {model::ObjectKind::snapshot, volume.id().name + "@" + name}; }
};

/// All snapshots of a volume, which was observed as `entry`.
[[nodiscard]] Status observe_snapshots(const VolumePlace& volume, const model::Entry& entry, model::HostState& state);

/// Keeps what the volume holds now; it may be in use. Errors: not_found without the volume; conflict when the volume is not
/// ours or another snapshot has the name.
[[nodiscard]] Status create_snapshot(const SnapshotPlace& place, const model::Entry& wanted);

/// Writes how long it is kept.
[[nodiscard]] Status update_snapshot(const SnapshotPlace& place, const model::Entry& wanted);

/// Nothing there is success. Errors: conflict when the volume is not ours.
[[nodiscard]] Status remove_snapshot(const SnapshotPlace& place, const model::ResourceRef& owner);

/// Makes the volume hold what the snapshot holds, all at once, and then as `wanted`. Errors: not_found without the snapshot;
/// conflict when the volume is in use or not ours.
[[nodiscard]] Status restore_snapshot(const SnapshotPlace& place, const model::Entry& wanted, UserNamespaces& namespaces);

/// Deletes all snapshots in a volume's directory.
[[nodiscard]] Status remove_snapshots(const Backend& backend, int volume);
/// Deletes what an interrupted run left half made or half deleted in a volume's directory.
[[nodiscard]] Status sweep_volume(const Backend& backend, int volume);

}  // namespace ctl::drivers::storage
