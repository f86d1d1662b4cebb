#include <algorithm>

#include <fmt/format.h>

#include "diff/restore.h"
#include "model/snapshot_name.h"
#include "reconcile/pipeline.h"

namespace ctl::reconcile {

namespace {

/// The object with the values that the change found in the fields it set.
void put_back(model::Entry& entry, const diff::Change& change) {
    for (const auto& field : change.fields) (void)model::set_field(entry.object, field.name, field.from);
}

/// A thing that stood there before we first touched it: of it we wish only what we changed, and never its end.
std::optional<model::Entry> found_before(const Prepared& before, const diff::Change& change) {
    const auto wanted = before.desired.find(change.id);
    if (!change.observed || wanted == before.desired.end()) return std::nullopt;
    model::Entry entry = wanted->second;
    entry.object = model::make_object(change.id.kind);
    put_back(entry, change);
    return entry;
}

/// What the host has to become again, in terms of what was ours before and what the plan then touched.
model::HostState wish_of_then(const Prepared& before) {
    model::HostState wish = before.recorded;
    for (const auto& change : before.plan.changes) {
        const auto recorded = wish.find(change.id);
        if (recorded == wish.end()) {
            if (auto entry = found_before(before, change)) wish.emplace(change.id, std::move(*entry));
        } else if (change.verb == diff::Verb::forget) {
            wish.erase(recorded);  // it stands without our mark now, as somebody else's
        } else {
            put_back(recorded->second, change);
        }
    }
    return wish;
}

model::HostState record_of_then(const Prepared& before) {
    model::HostState record = before.recorded;
    for (const auto& change : before.plan.changes)
        if (change.verb == diff::Verb::forget) record.erase(change.id);
    return record;
}

/// The newest of what is kept of a deleted volume; empty for nothing.
std::string kept_of(const model::HostState& observed, const model::ObjectId& volume) {
    const std::string begin = fmt::format("{}@{}", volume.name, model::deleted_prefix);
    std::string newest;
    for (const auto& [id, entry] : observed)
        if (id.kind == model::ObjectKind::snapshot && entry.mark == model::Mark::complete && id.name.starts_with(begin))
            newest = id.name.substr(volume.name.size() + 1);
    return newest;
}

/// A volume that the plan has deleted comes back with what it held, if its pool has kept that.
void take_back(const Prepared& before, const model::HostState& observed, diff::Change& change) {
    if (change.id.kind != model::ObjectKind::volume || !change.desired) return;
    if (change.verb != diff::Verb::create && change.verb != diff::Verb::replace) return;
    const auto& changes = before.plan.changes;
    const bool was_deleted = std::any_of(changes.begin(), changes.end(), [&](const diff::Change& done) {
        return done.id == change.id && (done.verb == diff::Verb::remove || done.verb == diff::Verb::replace);
    });
    const std::string kept = was_deleted ? kept_of(observed, change.id) : std::string();
    if (kept.empty()) return;
    change.fields.push_back(
        {std::string(diff::restored_field), std::nullopt, kept, model::Effect::live, diff::Cause::changed, {}});
}

}  // namespace

Result<Prepared> prepare_undo(const Environment& environment, const Prepared& before, std::stop_token stop) {
    Wish wish;
    wish.stack = before.stack;
    CTL_ASSIGN(wish.before, recall(environment, before.stack));
    wish.desired = wish_of_then(before);
    wish.allocations = before.before.allocations;
    wish.resources = before.before.resources;
    PrepareOptions options;
    options.allow_empty = true;
    CTL_ASSIGN(auto undo, plan_towards(environment, std::move(wish), options, std::move(stop)));
    for (auto& change : undo.plan.changes) take_back(before, undo.observed, change);
    for (auto& step : undo.plan.steps) take_back(before, undo.observed, step.change);
    undo.restored_record = record_of_then(before);
    return undo;
}

}  // namespace ctl::reconcile
