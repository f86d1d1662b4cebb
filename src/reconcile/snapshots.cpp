#include "reconcile/snapshots.h"

#include <algorithm>
#include <chrono>
#include <ctime>

#include <fmt/format.h>

#include "base/text.h"
#include "diff/restore.h"
#include "model/snapshot_name.h"
#include "reconcile/pipeline.h"
#include "reconcile/utc.h"

namespace ctl::reconcile {

using diff::Change;
using diff::Verb;
using model::Effect;
using model::ObjectId;
using model::ObjectKind;

namespace {

Result<ObjectId> find_volume(const Prepared& prepared, const model::ResourceRef& owner) {
    for (const auto& [id, entry] : prepared.recorded)
        if (id.kind == ObjectKind::volume && entry.owner == owner && prepared.observed.contains(id)) return id;
    const bool is_kept = !newest_deleted(prepared.observed, owner).empty();
    return Error(ErrorCode::not_found, fmt::format("the files of {} are not on this host", escaped(owner.str())))
        .hint(is_kept ? "they were deleted and are kept: have it in a manifest again, ctl apply, then ctl restore"
                      : "ctl apply makes it again");
}

ObjectId snapshot_id(const ObjectId& volume, const std::string& name) {
    return {ObjectKind::snapshot, fmt::format("{}@{}", volume.name, name)};
}

std::string name_of(const ObjectId& snapshot) { return snapshot.name.substr(snapshot.name.rfind('@') + 1); }

Status check_name(const std::string& name) {
    if (model::is_snapshot_name(name)) return ok();
    return Error(ErrorCode::invalid, fmt::format("{} can't be the name of a snapshot", ctl::quoted(name)))
        .hint(fmt::format("use up to 63 letters, digits, '-', '_' and '.', and begin with something else than {}",
                          model::deleted_prefix));
}

std::string next_name(const std::string& pattern, std::time_t made, const std::vector<SnapshotLine>& there) {
    std::vector<std::string> taken;
    for (const auto& line : there) taken.push_back(line.name);
    return model::name_by_pattern(pattern, made, taken);
}

Result<ObjectId> find_snapshot(const Prepared& prepared, const SnapshotWish& wish) {
    for (const auto& [id, entry] : prepared.observed)
        if (id.kind == ObjectKind::snapshot && entry.mark != model::Mark::none && entry.owner == wish.owner &&
            name_of(id) == wish.name)
            return id;
    return Error(ErrorCode::not_found,
                 fmt::format("{} has no snapshot {}", escaped(wish.owner.str()), ctl::quoted(wish.name)))
        .hint(fmt::format("see: ctl snapshot list {}", escaped(wish.owner.name)));
}

/// Of `volume`, which may be in another pool than one that was deleted. Without a name: what was deleted last.
Result<ObjectId> find_restorable(const Prepared& prepared, const ObjectId& volume, SnapshotWish wish) {
    if (wish.name.empty()) wish.name = newest_deleted(prepared.observed, wish.owner);
    if (wish.name.empty())
        return Error(ErrorCode::not_found, fmt::format("nothing deleted is kept of {}", escaped(wish.owner.str())))
            .hint(fmt::format("name a snapshot; see: ctl snapshot list {}", escaped(wish.owner.name)));
    CTL_ASSIGN(const ObjectId id, find_snapshot(prepared, wish));
    if (id == snapshot_id(volume, wish.name)) return id;
    return Error(ErrorCode::conflict, fmt::format("{} is a snapshot of {}, and {} is on {} now", ctl::quoted(wish.name),
                                                  escaped(id.name.substr(0, id.name.rfind('@'))), escaped(wish.owner.str()),
                                                  escaped(volume.name)));
}

Result<Change> making(const Prepared& prepared, const SnapshotWish& wish, std::chrono::system_clock::time_point now,
                      const std::string& why) {
    CTL_ASSIGN(const ObjectId volume, find_volume(prepared, wish.owner));
    const std::time_t made = std::chrono::system_clock::to_time_t(now);
    const auto there = snapshots_of(prepared.observed, wish.owner);
    const ObjectId id = snapshot_id(volume, wish.name.empty() ? next_name(wish.pattern, made, there) : wish.name);
    if (prepared.observed.contains(id))
        return Error(ErrorCode::conflict,
                     fmt::format("{} has a snapshot {} already", escaped(wish.owner.str()), ctl::quoted(name_of(id))))
            .hint("choose another name, or delete that one");
    Change change{id, Verb::create, Effect::live, {}, why};
    model::Entry entry;
    model::Snapshot snapshot;
    snapshot.made = utc_text(now);
    if (wish.expiry) snapshot.expires = utc_text(std::chrono::system_clock::from_time_t(wish.expiry->after(made)));
    entry.object = std::move(snapshot);
    entry.owner = wish.owner;
    change.desired = std::move(entry);
    return change;
}

Result<Change> removing(const Prepared& prepared, const SnapshotWish& wish, const std::string& why) {
    CTL_ASSIGN(const ObjectId id, find_snapshot(prepared, wish));
    Change change{id, Verb::remove, Effect::live, {}, why};
    change.observed = prepared.observed.at(id);
    return change;
}

Change restoring(const Prepared& prepared, const ObjectId& volume, const std::string& snapshot) {
    Change change{volume, Verb::update, Effect::restart, {}, fmt::format("back to {}", snapshot)};
    change.fields.push_back(
        {std::string(diff::restored_field), std::nullopt, snapshot, Effect::restart, diff::Cause::changed, {}});
    change.desired = prepared.recorded.at(volume);
    change.observed = prepared.observed.at(volume);
    return change;
}

/// The containers whose root disk the volume is, or that have it mounted.
std::vector<ObjectId> users_of(const Prepared& prepared, const ObjectId& volume) {
    std::vector<ObjectId> users;
    for (const auto& [id, entry] : prepared.recorded)
        if (id.kind == ObjectKind::container &&
            std::any_of(entry.needs.begin(), entry.needs.end(), [&](const auto& need) { return need.id == volume; }))
            users.push_back(id);
    return users;
}

/// A restart of the container if it runs: of whichever is stopped only the files are to change.
std::optional<Change> restart_around(const Prepared& prepared, const ObjectId& container) {
    const auto recorded = prepared.recorded.find(container);
    const auto observed = prepared.observed.find(container);
    if (recorded == prepared.recorded.end() || observed == prepared.observed.end()) return std::nullopt;
    const auto state = std::get<model::Container>(observed->second.object).state;
    if (!state || *state == model::ContainerState::stopped) return std::nullopt;
    Change change{container, Verb::update, Effect::restart, {}, "what it uses is put back"};
    model::Entry wanted = recorded->second;
    std::get<model::Container>(wanted.object).state = state;
    change.fields = diff::unmet(wanted.object, &observed->second.object);
    change.observed = observed->second;
    change.observed.edit().needs = recorded->second.needs;
    change.desired = std::move(wanted);
    return change;
}

}  // namespace

std::vector<SnapshotLine> snapshots_of(const model::HostState& observed, const model::ResourceRef& owner) {
    std::vector<SnapshotLine> lines;
    for (const auto& [id, entry] : observed)
        if (id.kind == ObjectKind::snapshot && entry.mark == model::Mark::complete && entry.owner == owner)
            lines.push_back({name_of(id), std::get<model::Snapshot>(entry.object)});
    std::stable_sort(lines.begin(), lines.end(), [](const SnapshotLine& a, const SnapshotLine& b) {
        return a.snapshot.made.value_or("") < b.snapshot.made.value_or("");
    });
    return lines;
}

std::string newest_deleted(const model::HostState& observed, const model::ResourceRef& owner) {
    std::string newest;
    for (const auto& line : snapshots_of(observed, owner))
        if (line.name.starts_with(model::deleted_prefix)) newest = line.name;
    return newest;
}

std::optional<model::ResourceRef> owner_of_snapshots(const model::HostState& observed, const std::string& kind,
                                                     const std::string& name) {
    for (const auto& [id, entry] : observed)
        if (id.kind == ObjectKind::snapshot && entry.mark == model::Mark::complete && entry.owner.kind == kind &&
            entry.owner.name == name)
            return entry.owner;
    return std::nullopt;
}

Result<Prepared> prepare_snapshot(const Environment& environment, const SnapshotWish& wish, std::stop_token stop) {
    if (!wish.name.empty()) CTL_TRY(check_name(wish.name));
    CTL_ASSIGN(auto prepared, look_as_recorded(environment, wish.owner.stack, std::move(stop)));
    diff::Output output;
    CTL_ASSIGN(output.changes.emplace_back(), making(prepared, wish, environment.clock.wall(), "asked for"));
    CTL_TRY(put_in_order(prepared, std::move(output)));
    return prepared;
}

Result<Prepared> prepare_snapshot_removal(const Environment& environment, const SnapshotWish& wish, std::stop_token stop) {
    CTL_ASSIGN(auto prepared, look_as_recorded(environment, wish.owner.stack, std::move(stop)));
    diff::Output output;
    CTL_ASSIGN(output.changes.emplace_back(), removing(prepared, wish, "asked for"));
    CTL_TRY(put_in_order(prepared, std::move(output)));
    return prepared;
}

Result<SnapshotRound> prepare_snapshots(const Environment& environment, const std::string& stack,
                                        std::span<const SnapshotWish> to_make, std::span<const SnapshotWish> to_delete,
                                        std::stop_token stop) {
    SnapshotRound round;
    CTL_ASSIGN(round.prepared, look_as_recorded(environment, stack, std::move(stop)));
    diff::Output output;
    const auto add = [&](Result<Change> change) {
        if (change) output.changes.push_back(std::move(*change));
        else round.left_out.push_back(std::move(change).error());
    };
    for (const auto& wish : to_delete) add(removing(round.prepared, wish, "expired"));
    for (const auto& wish : to_make) add(making(round.prepared, wish, environment.clock.wall(), "scheduled"));
    CTL_TRY(put_in_order(round.prepared, std::move(output)));
    return round;
}

Result<Prepared> prepare_restore(const Environment& environment, const SnapshotWish& wish, std::stop_token stop) {
    CTL_ASSIGN(auto prepared, look_as_recorded(environment, wish.owner.stack, std::move(stop)));
    CTL_ASSIGN(const ObjectId volume, find_volume(prepared, wish.owner));
    CTL_ASSIGN(const ObjectId id, find_restorable(prepared, volume, wish));
    diff::Output output;
    output.changes.push_back(restoring(prepared, volume, name_of(id)));
    for (const auto& container : users_of(prepared, volume))
        if (auto restart = restart_around(prepared, container)) output.changes.push_back(std::move(*restart));
    CTL_TRY(put_in_order(prepared, std::move(output)));
    return prepared;
}

}  // namespace ctl::reconcile
