#pragma once

#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "reconcile/reconciler.h"

// Snapshots of a container's root disk. They are asked for by hand and stand beside the manifest: no stack's record knows
// them, so an apply neither makes nor deletes one. They go with their volume.

namespace ctl::reconcile {

/// The snapshot of a container that is meant; nothing for the name: a new one by LXD's pattern snap%d.
struct SnapshotWish {
    model::ResourceRef container;
    std::string name;
};

/// A plan that keeps what the container's root disk holds now. Errors: not_found for a container without a root disk here,
/// conflict for a name that is taken, invalid for one that can't be, and those of prepare().
[[nodiscard]] Result<Prepared> prepare_snapshot(const Environment& environment, const SnapshotWish& wish,
                                                std::stop_token stop = {});

/// A plan that deletes a snapshot. Errors: not_found.
[[nodiscard]] Result<Prepared> prepare_snapshot_removal(const Environment& environment, const SnapshotWish& wish,
                                                        std::stop_token stop = {});

/// A plan that puts back what a snapshot holds. What runs stops before and starts after, with all that has drifted from it
/// mended. Errors: not_found.
[[nodiscard]] Result<Prepared> prepare_restore(const Environment& environment, const SnapshotWish& wish,
                                               std::stop_token stop = {});

struct SnapshotLine {
    std::string name;
    model::Snapshot snapshot;
};
/// Those of the container that its stack applied and the host shows, the oldest first.
[[nodiscard]] std::vector<SnapshotLine> snapshots_of(const model::HostState& observed, const model::ResourceRef& container);

}  // namespace ctl::reconcile
