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
    undo.restored_record = record_of_then(before);
    return undo;
}

}  // namespace ctl::reconcile
