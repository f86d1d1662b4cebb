#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "diff/diff.h"
#include "reconcile/lowering_facts.h"
#include "reconcile/observe.h"
#include "reconcile/pipeline.h"
#include "reconcile/recovery.h"

namespace ctl::reconcile {

namespace {

template <typename Resources>
void declare(std::vector<DeclaredResource>& out, const char* kind, const Resources& resources) {
    for (const auto& resource : resources) out.push_back({kind, resource.name.text, resource.name.where.str()});
}

/// "default,web"
std::string profiles_of(const model::resource::Container& container) {
    std::vector<std::string> names;
    for (const auto& profile : container.profiles) names.push_back(profile.text);
    return joined(names, ",");
}

std::vector<DeclaredResource> declared(const model::resource::Stack& stack) {
    std::vector<DeclaredResource> all;
    declare(all, "StoragePool", stack.storage_pools);
    for (const auto& volume : stack.volumes)
        all.push_back({"Volume", volume.pool.text + "/" + volume.name.text, volume.name.where.str()});
    declare(all, "Network", stack.networks);
    declare(all, "Image", stack.images);
    declare(all, "Profile", stack.profiles);
    for (const auto& container : stack.containers)
        all.push_back({"Container", container.name.text, container.name.where.str(), profiles_of(container)});
    std::sort(all.begin(), all.end());
    return all;
}

Result<std::vector<UnfinishedStep>> unfinished_of(Journal& journal, const std::string& stack) {
    CTL_ASSIGN(auto steps, journal.unfinished());
    std::erase_if(steps, [&](const UnfinishedStep& step) { return step.stack != stack; });
    return steps;
}

std::set<model::ObjectId> ids_of_interest(const Prepared& prepared, const std::vector<UnfinishedStep>& unfinished) {
    std::set<model::ObjectId> ids;
    for (const auto& [id, entry] : prepared.desired) ids.insert(id);
    for (const auto& [id, entry] : prepared.before.recorded) ids.insert(id);
    for (const auto& step : unfinished) ids.insert(step.id);
    return ids;
}

/// Sorts what was found into what forbids the plan and what is to be read beside it.
void sort_findings(Prepared& prepared, const Diagnostics& findings) {
    for (const auto& finding : findings.all())
        (finding.severity == Severity::error ? prepared.diagnostics : prepared.plan.notes).add(finding);
}

Status look(const Environment& environment, const PrepareOptions& options, const std::set<model::ObjectId>& ids,
            Prepared& prepared, std::stop_token stop) {
    if (options.host_state) {
        prepared.observed = *options.host_state;
        return ok();
    }
    CTL_ASSIGN(auto observation, observe(environment.drivers, ids, std::move(stop)));
    prepared.observed = std::move(observation.state);
    for (const auto& failure : observation.failures) prepared.plan.notes.warning("driver-failed", failure.str(), {});
    return ok();
}

/// An empty stack is more often a mistake (a wrong folder, a template that made nothing) than a wish.
Status guard_empty_stack(const Prepared& prepared, const PrepareOptions& options) {
    if (options.allow_empty || !prepared.desired.empty() || prepared.recorded.empty()) return ok();
    return Error(ErrorCode::policy, fmt::format("the stack {} is empty now: everything it has applied ({} objects) would go",
                                                ctl::quoted(prepared.stack), prepared.recorded.size()))
        .hint("use --allow-empty if that is meant, or `ctl delete`");
}

diff::Output compare(const Prepared& prepared, const model::HostState& others, const PrepareOptions& options) {
    return diff::diff({.desired = prepared.desired,
                       .observed = prepared.observed,
                       .recorded = prepared.recorded,
                       .others = others,
                       .stack = prepared.stack,
                       .on_restart_needed = options.on_restart_needed});
}

/// Wishes the object as it was last applied, with what it needs.
void keep_as_recorded(Prepared& prepared, const model::ObjectId& id) {
    const auto found = prepared.recorded.find(id);
    if (found == prepared.recorded.end()) return;
    const auto& entry = prepared.desired.insert_or_assign(id, found->second).first->second;
    for (const auto& need : entry.needs)
        if (!prepared.desired.contains(need.id)) keep_as_recorded(prepared, need.id);
}

/// Wishes the resources of all objects whose data would be lost as they were last applied.
void hold_back_data(Prepared& prepared, const std::vector<diff::Change>& changes) {
    std::set<model::ResourceRef> owners;
    for (const auto& change : changes) {
        const auto recorded = prepared.recorded.find(change.id);
        if (!loses_data(change) || recorded == prepared.recorded.end()) continue;
        prepared.held_back.push_back(change.id);
        owners.insert(recorded->second.owner);
    }
    for (const auto& [id, entry] : prepared.recorded)
        if (owners.contains(entry.owner)) keep_as_recorded(prepared, id);
}

Result<model::HostState> host_state(const Environment& environment, const PrepareOptions& options, std::stop_token stop) {
    if (options.host_state) return *options.host_state;
    CTL_ASSIGN(auto observation, observe(environment.drivers, {}, std::move(stop)));
    return std::move(observation.state);
}

/// Lowers with the choices that the host leaves, and with the addresses that it has.
model::Lowered lower_beside(const Environment& environment, const model::resource::Stack& stack, model::Allocations known,
                            const model::Allocations& taken, const model::HostState& host) {
    remember_choices(known, host, stack.name);
    return model::lower(stack, known, layout_of(environment.layout, host, stack.name), taken);
}

bool is_of(const model::Entry& entry, const model::ResourceRef& resource) {
    return entry.owner.kind == resource.kind && entry.owner.name == resource.name;
}

/// Nothing that stays may stand on something that goes.
Status check_left_over(const model::HostState& staying, const model::HostState& all, const model::ResourceRef& resource) {
    for (const auto& [id, entry] : staying)
        for (const auto& need : entry.needs)
            if (all.contains(need.id) && !staying.contains(need.id))
                return Error(ErrorCode::conflict, fmt::format("{} can't be deleted: {} needs it", escaped(resource.str()),
                                                              escaped(entry.owner.str())))
                    .hint(fmt::format("delete {} first", escaped(entry.owner.str())));
    return ok();
}

}  // namespace

Result<Memory> recall(const Environment& environment, const std::string& stack) {
    Memory memory;
    CTL_ASSIGN(memory.recorded, environment.journal.recorded(stack));
    CTL_ASSIGN(memory.allocations, environment.journal.allocations(stack));
    CTL_ASSIGN(memory.resources, environment.journal.resources(stack));
    return memory;
}

Result<Prepared> look_around(const Environment& environment, Wish wish, const PrepareOptions& options,
                             std::stop_token stop) {
    Prepared prepared;
    prepared.stack = wish.stack;
    prepared.plan.stack = wish.stack;
    prepared.desired = std::move(wish.desired);
    prepared.before = std::move(wish.before);
    prepared.recorded = prepared.before.recorded;
    prepared.allocations = std::move(wish.allocations);
    prepared.resources = std::move(wish.resources);
    sort_findings(prepared, wish.diagnostics);
    if (!prepared.is_applicable()) return prepared;

    CTL_ASSIGN(const auto unfinished, unfinished_of(environment.journal, prepared.stack));
    CTL_TRY(look(environment, options, ids_of_interest(prepared, unfinished), prepared, std::move(stop)));
    model::add_followed_routes(prepared.desired, wish.followed, prepared.observed);
    prepared.recovered = unfinished.size();
    auto remains = possible_remains(unfinished, prepared.recorded, prepared.observed, prepared.desired);
    prepared.recorded = recovered_record(std::move(prepared.recorded), unfinished, prepared.observed);
    for (auto& [id, entry] : remains) {
        prepared.recorded.insert_or_assign(id, entry);
        prepared.observed.emplace(id, std::move(entry));
    }
    return prepared;
}

Result<Prepared> look_as_recorded(const Environment& environment, const std::string& stack, std::stop_token stop) {
    Wish wish;
    wish.stack = stack;
    CTL_ASSIGN(wish.before, recall(environment, stack));
    wish.desired = wish.before.recorded;
    wish.allocations = wish.before.allocations;
    wish.resources = wish.before.resources;
    return look_around(environment, std::move(wish), {}, std::move(stop));
}

Status put_in_order(Prepared& prepared, diff::Output output) {
    auto notes = std::move(prepared.plan.notes);
    CTL_ASSIGN(prepared.plan, make_plan(prepared.stack, std::move(output.changes)));
    notes.append(prepared.plan.notes);
    prepared.plan.notes = std::move(notes);
    sort_findings(prepared, output.diagnostics);
    return ok();
}

Result<Prepared> plan_towards(const Environment& environment, Wish wish, const PrepareOptions& options,
                              std::stop_token stop) {
    CTL_ASSIGN(auto prepared, look_around(environment, std::move(wish), options, std::move(stop)));
    if (!prepared.is_applicable()) return prepared;
    CTL_TRY(guard_empty_stack(prepared, options));
    CTL_ASSIGN(const auto others, environment.journal.others(prepared.stack));
    auto output = compare(prepared, others, options);
    if (options.keep_data && std::any_of(output.changes.begin(), output.changes.end(), loses_data)) {
        hold_back_data(prepared, output.changes);
        output = compare(prepared, others, options);
    }
    CTL_TRY(put_in_order(prepared, std::move(output)));
    return prepared;
}

Result<Prepared> prepare(const Environment& environment, const model::resource::Stack& stack, const PrepareOptions& options,
                         std::stop_token stop) {
    Wish wish;
    wish.stack = stack.name;
    CTL_ASSIGN(wish.before, recall(environment, stack.name));
    CTL_ASSIGN(const auto taken, environment.journal.taken(stack.name));
    auto lowered = model::lower(stack, wish.before.allocations, environment.layout, taken);
    if (lowered.asks_for_addresses || has_new_choice(lowered.allocations, wish.before.allocations)) {
        CTL_ASSIGN(const auto host, host_state(environment, options, stop));
        lowered = lower_beside(environment, stack, wish.before.allocations, taken, host);
    }
    wish.desired = std::move(lowered.desired);
    wish.followed = std::move(lowered.followed);
    wish.allocations = std::move(lowered.allocations);
    wish.diagnostics = std::move(lowered.diagnostics);
    wish.resources = declared(stack);
    return plan_towards(environment, std::move(wish), options, std::move(stop));
}

Result<Prepared> prepare_delete(const Environment& environment, const std::string& stack, const PrepareOptions& options,
                                std::stop_token stop) {
    Wish wish;
    wish.stack = stack;
    CTL_ASSIGN(wish.before, recall(environment, stack));
    auto with_empty = options;
    with_empty.allow_empty = true;
    return plan_towards(environment, std::move(wish), with_empty, std::move(stop));
}

Result<Prepared> prepare_delete_resource(const Environment& environment, const model::ResourceRef& resource,
                                         const PrepareOptions& options, std::stop_token stop) {
    Wish wish;
    wish.stack = resource.stack;
    CTL_ASSIGN(wish.before, recall(environment, resource.stack));
    wish.desired = wish.before.recorded;
    wish.resources = wish.before.resources;
    wish.allocations = wish.before.allocations;
    const auto objects = std::erase_if(wish.desired, [&](const auto& item) { return is_of(item.second, resource); });
    const auto names = std::erase_if(wish.resources, [&](const DeclaredResource& known) {
        return known.kind == resource.kind && known.name == resource.name;
    });
    if (objects == 0 && names == 0)
        return Error(ErrorCode::not_found,
                     fmt::format("the stack {} has applied no {}", ctl::quoted(resource.stack), escaped(resource.str())))
            .hint("see `ctl get`");
    CTL_TRY(check_left_over(wish.desired, wish.before.recorded, resource));
    auto with_empty = options;
    with_empty.allow_empty = true;
    return plan_towards(environment, std::move(wish), with_empty, std::move(stop));
}

}  // namespace ctl::reconcile
