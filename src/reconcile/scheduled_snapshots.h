#pragma once

#include <chrono>
#include <ctime>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "model/resource.h"
#include "model/schedule.h"
#include "reconcile/snapshots.h"

// What snapshots.* of containers and custom volumes ask for, and when.

namespace ctl::reconcile {

/// One owner's schedule as its manifest, its profiles and its pool have it.
struct SnapshotSchedule {
    model::ResourceRef owner;
    model::Schedule schedule;
    std::string pattern;
    std::optional<model::Expiry> expiry;
    bool when_stopped = false;
};

/// Those of a valid stack.
[[nodiscard]] std::vector<SnapshotSchedule> snapshot_schedules(const model::resource::Stack& stack);

/// What is to be done about a stack's snapshots now.
struct DueSnapshots {
    std::vector<SnapshotWish> to_make;
    std::vector<SnapshotWish> expired;
    std::optional<std::chrono::system_clock::time_point> next;  ///< when to ask again
};

/// Follows the schedules of a stack through time. Who has snapshots is due for one when its schedule has named a time since
/// the newest of them, so that a time at which nobody watched is made up for; who has none, since it was first seen.
class ScheduledSnapshots {
public:
    [[nodiscard]] DueSnapshots due(const model::resource::Stack& stack, const model::HostState& observed,
                                   std::chrono::system_clock::time_point now);
    /// It has been made.
    void made(const model::ResourceRef& owner, std::chrono::system_clock::time_point now);

private:
    std::map<model::ResourceRef, std::time_t> since_;
};

}  // namespace ctl::reconcile
