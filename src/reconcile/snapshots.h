#pragma once

#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "model/schedule.h"
#include "reconcile/reconciler.h"

// Snapshots of containers' root disks and of custom volumes. They are asked for by hand or made by a schedule
// (scheduled_snapshots.h), and stand beside the manifest: no stack's record knows them, so an apply neither makes nor
// deletes one. They go with their volume. A deleted volume that its pool keeps is one too (drivers/storage/trash.h).

namespace ctl::reconcile {

/// The snapshot that is meant.
struct SnapshotWish {
    model::ResourceRef owner;               ///< the container or custom volume it is of
    std::string name;                       ///< empty: a new one by the pattern
    std::string pattern = "snap%d";         ///< see model/snapshot_name.h
    std::optional<model::Expiry> expiry{};  ///< of a new one; nothing: it is kept for ever
};

/// A plan that keeps what the owner's files hold now. Errors: not_found where they are not on this host, conflict for a name
/// that is taken, invalid for one that can't be, and those of prepare().
[[nodiscard]] Result<Prepared> prepare_snapshot(const Environment& environment, const SnapshotWish& wish,
                                                std::stop_token stop = {});

/// A plan that deletes a snapshot. Errors: not_found.
[[nodiscard]] Result<Prepared> prepare_snapshot_removal(const Environment& environment, const SnapshotWish& wish,
                                                        std::stop_token stop = {});

/// A plan for many snapshots of a stack, and why some are not in it.
struct SnapshotRound {
    Prepared prepared;
    std::vector<Error> left_out;
};

/// The same for many at once, by one look at the host: one that can't be keeps none of the others.
[[nodiscard]] Result<SnapshotRound> prepare_snapshots(const Environment& environment, const std::string& stack,
                                                      std::span<const SnapshotWish> to_make,
                                                      std::span<const SnapshotWish> to_delete, std::stop_token stop = {});

/// A plan that puts back what a snapshot holds, without a name what the pool has kept of the one that was deleted last. What
/// runs stops before and starts after, with all that has drifted from it mended. Errors: not_found; conflict when it is in
/// another pool.
[[nodiscard]] Result<Prepared> prepare_restore(const Environment& environment, const SnapshotWish& wish,
                                               std::stop_token stop = {});

struct SnapshotLine {
    std::string name;
    model::Snapshot snapshot;
};
/// Those of the owner that the host shows, the oldest first.
[[nodiscard]] std::vector<SnapshotLine> snapshots_of(const model::HostState& observed, const model::ResourceRef& owner);
/// What is kept of the owner's volume that was deleted last; empty for nothing.
[[nodiscard]] std::string newest_deleted(const model::HostState& observed, const model::ResourceRef& owner);
/// Whose snapshots the host shows under that kind and name; also those of who is in no stack any more.
[[nodiscard]] std::optional<model::ResourceRef> owner_of_snapshots(const model::HostState& observed, const std::string& kind,
                                                                   const std::string& name);

}  // namespace ctl::reconcile
