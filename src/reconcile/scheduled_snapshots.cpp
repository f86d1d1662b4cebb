#include "reconcile/scheduled_snapshots.h"

#include <algorithm>

#include <fmt/format.h>

#include "model/resolve.h"
#include "model/value_types.h"
#include "reconcile/utc.h"

namespace ctl::reconcile {

namespace {

using model::Value;
using std::chrono::system_clock;

/// A key of a custom volume: its own, or what its pool says for all volumes.
const Value* volume_value(const model::resource::Stack& stack, const model::resource::Volume& volume,
                          const std::string& key) {
    if (const Value* own = model::find_value(volume.config, key)) return own;
    const auto pool = std::find_if(stack.storage_pools.begin(), stack.storage_pools.end(),
                                   [&](const auto& candidate) { return candidate.name.text == volume.pool.text; });
    return pool == stack.storage_pools.end() ? nullptr : model::find_value(pool->config, "volume." + key);
}

std::string text_of(const Value* value) { return value == nullptr ? std::string() : value->text; }

std::optional<SnapshotSchedule> make_schedule(model::ResourceRef owner, const Value* schedule, const Value* pattern,
                                              const Value* expiry) {
    auto parsed = model::Schedule::parse(text_of(schedule));
    if (!parsed) return std::nullopt;
    SnapshotSchedule made{std::move(owner), std::move(*parsed), text_of(pattern), model::Expiry::parse(text_of(expiry)),
                          false};
    if (made.pattern.empty()) made.pattern = SnapshotWish{}.pattern;
    return made;
}

/// Files of a container are not written to while it is stopped: they are as its last snapshot has them, or as it was made.
bool is_stopped(const model::HostState& observed, const model::ResourceRef& owner) {
    if (owner.kind != "Container") return false;
    const auto found = observed.find({model::ObjectKind::container, owner.name});
    if (found == observed.end()) return true;
    return std::get<model::Container>(found->second.object).state.value_or(model::ContainerState::stopped) ==
           model::ContainerState::stopped;
}

/// When the newest of the owner's snapshots was made.
std::optional<std::time_t> newest(const model::HostState& observed, const model::ResourceRef& owner) {
    std::optional<std::time_t> latest;
    for (const auto& line : snapshots_of(observed, owner))
        if (const auto made = parse_utc(line.snapshot.made.value_or("")))
            latest = std::max(latest.value_or(0), system_clock::to_time_t(*made));
    return latest;
}

void sooner(std::optional<system_clock::time_point>& next, system_clock::time_point when) {
    next = next ? std::min(*next, when) : when;
}

}  // namespace

std::vector<SnapshotSchedule> snapshot_schedules(const model::resource::Stack& stack) {
    const auto resolved = model::resolve(stack);
    std::vector<SnapshotSchedule> schedules;
    for (const auto& container : resolved.containers) {
        const auto value = [&](std::string_view key) { return model::find_value(container.config, key); };
        auto made = make_schedule({stack.name, "Container", container.name.text}, value("snapshots.schedule"),
                                  value("snapshots.pattern"), value("snapshots.expiry"));
        if (!made) continue;
        made->when_stopped = model::parse_bool(text_of(value("snapshots.schedule.stopped"))).value_or(false);
        schedules.push_back(std::move(*made));
    }
    for (const auto& volume : resolved.volumes) {
        const auto value = [&](const std::string& key) { return volume_value(resolved, volume, key); };
        auto made = make_schedule({stack.name, "Volume", fmt::format("{}/{}", volume.pool.text, volume.name.text)},
                                  value("snapshots.schedule"), value("snapshots.pattern"), value("snapshots.expiry"));
        if (made) schedules.push_back(std::move(*made));
    }
    return schedules;
}

DueSnapshots ScheduledSnapshots::due(const model::resource::Stack& stack, const model::HostState& observed,
                                     system_clock::time_point now) {
    DueSnapshots due;
    const std::time_t seconds = system_clock::to_time_t(now);
    std::map<model::ResourceRef, std::time_t> since;
    for (const auto& wanted : snapshot_schedules(stack)) {
        const auto known = since_.find(wanted.owner);
        const auto last = newest(observed, wanted.owner);
        std::time_t from = known == since_.end() ? last.value_or(seconds) : std::max(known->second, last.value_or(0));
        auto when = wanted.schedule.next(std::min(from, seconds));
        if (when && *when <= seconds) {
            if (wanted.when_stopped || !is_stopped(observed, wanted.owner))
                due.to_make.push_back({wanted.owner, "", wanted.pattern, wanted.expiry});
            else from = seconds;
            when = wanted.schedule.next(seconds);
        }
        if (when) sooner(due.next, system_clock::from_time_t(*when));
        since.emplace(wanted.owner, from);
    }
    since_ = std::move(since);
    for (const auto& [id, entry] : observed) {
        if (id.kind != model::ObjectKind::snapshot || entry.mark != model::Mark::complete) continue;
        const auto expires = parse_utc(std::get<model::Snapshot>(entry.object).expires.value_or(""));
        if (!expires || entry.owner.stack != stack.name) continue;
        if (*expires <= now) due.expired.push_back({entry.owner, id.name.substr(id.name.rfind('@') + 1)});
        else sooner(due.next, *expires);
    }
    return due;
}

void ScheduledSnapshots::made(const model::ResourceRef& owner, system_clock::time_point now) {
    since_.insert_or_assign(owner, system_clock::to_time_t(now));
}

}  // namespace ctl::reconcile
