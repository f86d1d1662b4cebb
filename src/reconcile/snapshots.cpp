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
    return Error(ErrorCode::not_found, fmt::format("the files of {} are not on this host", escaped(owner.str())))
        .hint("ctl apply makes it again");
}

ObjectId snapshot_id(const ObjectId& volume, const std::string& name) {
    return {ObjectKind::snapshot, fmt::format("{}@{}", volume.name, name)};
}

std::string name_of(const ObjectId& snapshot) { return snapshot.name.substr(snapshot.name.rfind('@') + 1); }

Status check_name(const std::string& name) {
    if (model::is_snapshot_name(name)) return ok();
    return Error(ErrorCode::invalid, fmt::format("{} can't be the name of a snapshot", ctl::quoted(name)))
        .hint("use up to 63 letters, digits, '-', '_' and '.'");
}

std::string next_name(const std::string& pattern, std::time_t made, const std::vector<SnapshotLine>& there) {
    std::vector<std::string> taken;
    for (const auto& line : there) taken.push_back(line.name);
    return model::name_by_pattern(pattern, made, taken);
}

Result<ObjectId> find_snapshot(const Prepared& prepared, const ObjectId& volume, const SnapshotWish& wish) {
    const ObjectId id = snapshot_id(volume, wish.name);
    const auto found = prepared.observed.find(id);
    if (found != prepared.observed.end() && found->second.mark != model::Mark::none) return id;
    return Error(ErrorCode::not_found,
                 fmt::format("{} has no snapshot {}", escaped(wish.owner.str()), ctl::quoted(wish.name)))
        .hint(fmt::format("see: ctl snapshot list {}", escaped(wish.owner.name)));
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
    CTL_ASSIGN(const ObjectId volume, find_volume(prepared, wish.owner));
    CTL_ASSIGN(const ObjectId id, find_snapshot(prepared, volume, wish));
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

/// A restart of the container if it runs: of whichever is stopped only the files are to change.
std::optional<Change> restart_around(const Prepared& prepared, const ObjectId& container) {
    const auto recorded = prepared.recorded.find(container);
    const auto observed = prepared.observed.find(container);
    if (recorded == prepared.recorded.end() || observed == prepared.observed.end()) return std::nullopt;
    const auto state = std::get<model::Container>(observed->second.object).state;
    if (!state || *state == model::ContainerState::stopped) return std::nullopt;
    Change change{container, Verb::update, Effect::restart, {}, "its root disk is put back"};
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
    CTL_ASSIGN(const ObjectId id, find_snapshot(prepared, volume, wish));
    diff::Output output;
    output.changes.push_back(restoring(prepared, volume, name_of(id)));
    if (auto restart = restart_around(prepared, {ObjectKind::container, wish.owner.name}))
        output.changes.push_back(std::move(*restart));
    CTL_TRY(put_in_order(prepared, std::move(output)));
    return prepared;
}

}  // namespace ctl::reconcile
