#include "drivers/netlink/netns_batch.h"

#include <fmt/format.h>
#include <linux/if.h>
#include <linux/rtnetlink.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <optional>
#include <set>
#include <thread>

#include "drivers/api/mark.h"
#include "drivers/netlink/link_requests.h"
#include "drivers/netlink/loans.h"
#include "drivers/netlink/names.h"

namespace ctl::drivers::netlink {

namespace {

using diff::Change;
using diff::Verb;

constexpr std::chrono::seconds links_gone_deadline{15};
constexpr std::chrono::milliseconds first_look{2};
constexpr std::chrono::milliseconds longest_pause{100};
constexpr std::size_t most_at_once = 4;

/// One namespace that shall be there, marked.
struct Making {
    explicit Making(const Change& change)
        : name(change.id.name),
          idmap(std::get<model::Netns>(change.desired->object).idmap.value_or("none")),
          mark(make_mark(change.desired->owner, change.id)) {}

    std::string name;
    std::string idmap;
    std::string mark;
    std::optional<Pins::Pin> found;
    Status outcome{};

    /// Half a namespace has never been given to a container, so nothing is lost with it.
    [[nodiscard]] bool is_finished() const { return found && !found->mark.empty(); }
};

/// Calls `work` for those that have not failed, and keeps what comes of it.
void for_each_good(std::vector<Making>& makings, const std::function<Status(Making&)>& work) {
    for (Making& making : makings)
        if (making.outcome) making.outcome = work(making);
}

/// The same by several threads: the kernel makes namespaces side by side, but each one slowly.
void for_each_good_at_once(std::vector<Making>& makings, const std::function<Status(Making&)>& work) {
    std::atomic<std::size_t> next = 0;
    const auto take_turns = [&] {
        for (std::size_t i = next++; i < makings.size(); i = next++)
            if (makings[i].outcome) makings[i].outcome = work(makings[i]);
    };
    std::vector<std::jthread> others;
    for (std::size_t i = 1; i < std::min(makings.size(), most_at_once); ++i) others.emplace_back(take_turns);
    take_turns();
}

Status check_found(const Making& making) {
    if (!making.is_finished() || making.found->idmap == making.idmap) return ok();
    return Error(ErrorCode::conflict,
                 fmt::format("it is there with the id map {} instead of {}", making.found->idmap, making.idmap));
}

/// New links without IPv6, so that the ports of a big bridge don't flood each other with their multicast.
void switch_ipv6_off(Scopes& scopes, std::vector<Making>& makings) {
    in_own_thread([&] {
        for_each_good(makings, [&](const Making& making) -> Status {
            CTL_TRY(enter(scopes.find(making.name)->netns));
            return write_ipv6("default", false);
        });
    });
}

Status set_loopback_up(Scope& scope) {
    CTL_ASSIGN(const Snapshot snapshot, read_snapshot(scope.socket));
    const LinkRecord* loopback = snapshot.link("lo");
    if (loopback == nullptr) return Error(ErrorCode::io, "it has no loopback");
    LinkSettings settings;
    settings.link.up = true;
    const auto request = change_request(*loopback, settings);
    if (!request) return ok();
    CTL_ASSIGN(const auto answers, scope.socket.transact({&*request, 1}));
    return answers.front().is_ok() ? ok() : Status(answers.front().as_error("setting its loopback up"));
}

Status write_mark(Scopes& scopes, const Making& making) {
    if (making.is_finished() && making.found->mark == making.mark) return ok();
    CTL_TRY(scopes.pins().write_mark(making.name, making.mark, making.idmap));
    return scopes.refresh(making.name);
}

void make(Scopes& scopes, std::vector<Making>& makings) {
    if (makings.empty()) return;
    const Status prepared = scopes.pins().prepare();
    for_each_good(makings, [&](Making& making) {
        making.found = scopes.pins().find(making.name);
        if (!making.is_finished()) scopes.close(making.name);
        return prepared ? check_found(making) : prepared;
    });
    for_each_good_at_once(makings, [&](const Making& making) {
        return making.is_finished() ? ok() : scopes.pins().make(making.name, making.idmap);
    });
    const Status refreshed = scopes.refresh();
    for_each_good(makings, [&](const Making& making) -> Status {
        if (!refreshed || scopes.find(making.name) != nullptr) return refreshed;
        return Error(ErrorCode::io, "it was made but is not there");
    });
    switch_ipv6_off(scopes, makings);
    for_each_good(makings, [&](const Making& making) { return set_loopback_up(*scopes.find(making.name)); });
    for_each_good(makings, [&](const Making& making) { return write_mark(scopes, making); });
}

/// Takes the mark away; what it needs to be used stays.
Status forget(Scopes& scopes, const std::string& name) {
    const auto pin = scopes.pins().find(name);
    if (!pin || pin->mark.empty()) return ok();
    CTL_TRY(scopes.pins().write_mark(name, "-", pin->idmap));
    return scopes.refresh(name);
}

/// Host ends of the veths that lead into the namespaces.
std::set<int> host_ends(const Snapshot& host, const std::set<int>& numbers) {
    std::set<int> indexes;
    for (const LinkRecord& link : host.links)
        if (link.kind == "veth" && link.lower_namespace && numbers.contains(*link.lower_namespace))
            indexes.insert(link.index);
    return indexes;
}

Status wait_until_gone(Scopes& scopes, const std::set<int>& links) {
    const auto deadline = std::chrono::steady_clock::now() + links_gone_deadline;
    auto pause = first_look;
    while (!links.empty()) {
        CTL_ASSIGN(const Snapshot host, read_snapshot(scopes.host().socket));
        const LinkRecord* left = nullptr;
        for (const int index : links)
            if (const LinkRecord* link = host.link(index)) left = link;
        if (left == nullptr) break;
        if (std::chrono::steady_clock::now() > deadline)
            return Error(ErrorCode::timeout, fmt::format("{} is still there {} s after its namespace was given up",
                                                         left->name, links_gone_deadline.count()))
                .hint("a process still runs in the namespace: stop it");
        std::this_thread::sleep_for(pause);
        pause = std::min(pause * 2, longest_pause);
    }
    return ok();
}

/// What is lent to a namespace must not go with it.
Status give_back_all(Scopes& scopes, const std::string& name) {
    Scope* scope = scopes.find(name);
    if (scope == nullptr) return ok();
    CTL_ASSIGN(const Snapshot inside, read_snapshot(scope->socket));
    for (const LinkRecord& link : inside.links)
        if (read_loan(link.alias))
            CTL_TRY(give_back(scopes, {model::ObjectKind::link, model::ScopedName{name, link.name}.str()}));
    return ok();
}

Status remove(Scopes& scopes, std::span<const Change* const> changes) {
    if (changes.empty()) return ok();
    for (const Change* change : changes) CTL_TRY(give_back_all(scopes, change->id.name));
    std::set<int> numbers;
    for (const Change* change : changes)
        if (const Scope* scope = scopes.find(change->id.name)) numbers.insert(scope->number);
    CTL_ASSIGN(const Snapshot host, read_snapshot(scopes.host().socket));
    const std::set<int> ends = host_ends(host, numbers);
    for (const Change* change : changes) {
        scopes.close(change->id.name);
        CTL_TRY(scopes.pins().remove(change->id.name));
    }
    return wait_until_gone(scopes, ends);
}

}  // namespace

std::vector<Status> apply_namespaces(Scopes& scopes, std::span<const Change* const> changes, const std::stop_token& stop) {
    std::vector<Status> outcomes(changes.size());
    std::vector<Making> makings;
    std::vector<std::size_t> made;
    std::vector<std::size_t> removed;
    std::vector<const Change*> removals;
    for (std::size_t i = 0; i < changes.size(); ++i) {
        const Change& change = *changes[i];
        outcomes[i] = check_netns_name(change.id.name);
        if (outcomes[i] && stop.stop_requested()) outcomes[i] = Error(ErrorCode::cancelled, "interrupted before it began");
        if (!outcomes[i]) continue;
        if (change.verb == Verb::remove) {
            removed.push_back(i);
            removals.push_back(&change);
        } else if (change.verb == Verb::forget) {
            outcomes[i] = forget(scopes, change.id.name);
        } else if (change.desired && std::holds_alternative<model::Netns>(change.desired->object)) {
            made.push_back(i);
            makings.emplace_back(change);
        } else {
            outcomes[i] = Error(ErrorCode::internal, "the change does not say what the namespace shall be");
        }
    }
    make(scopes, makings);
    for (std::size_t i = 0; i < made.size(); ++i) outcomes[made[i]] = std::move(makings[i].outcome);
    const Status gone = remove(scopes, removals);
    for (const std::size_t i : removed) outcomes[i] = gone;
    for (std::size_t i = 0; i < changes.size(); ++i)
        if (!outcomes[i]) outcomes[i] = Error(outcomes[i].error()).while_(doing(*changes[i]));
    return outcomes;
}

}  // namespace ctl::drivers::netlink
