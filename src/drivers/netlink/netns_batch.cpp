#include "drivers/netlink/netns_batch.h"

#include <fmt/format.h>
#include <linux/if.h>
#include <linux/rtnetlink.h>

#include <chrono>
#include <set>
#include <thread>

#include "drivers/api/mark.h"
#include "drivers/netlink/link_requests.h"
#include "drivers/netlink/names.h"

namespace ctl::drivers::netlink {

namespace {

using diff::Change;
using diff::Verb;

constexpr std::chrono::seconds links_gone_deadline{15};
constexpr std::chrono::milliseconds first_look{2};
constexpr std::chrono::milliseconds longest_pause{100};

/// Loopback up; new links without IPv6, so that the ports of a big bridge don't flood each other with their multicast.
Status furnish(Scope& scope) {
    Status outcome;
    in_own_thread([&] {
        outcome = enter(scope.netns);
        if (outcome) outcome = write_ipv6("default", false);
    });
    CTL_TRY(outcome);
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

Status make(Scopes& scopes, const Change& change) {
    const auto* netns = change.desired ? std::get_if<model::Netns>(&change.desired->object) : nullptr;
    if (netns == nullptr) return Error(ErrorCode::internal, "the change does not say what the namespace shall be");
    const std::string& name = change.id.name;
    const std::string idmap = netns->idmap.value_or("none");
    const std::string mark = make_mark(change.desired->owner, change.id);
    const auto pin = scopes.pins().find(name);
    const bool is_finished = pin && !pin->mark.empty() && pin->idmap == idmap;
    if (pin && !pin->mark.empty() && !is_finished)
        return Error(ErrorCode::conflict, fmt::format("it is there with the id map {} instead of {}", pin->idmap, idmap));
    if (!is_finished) {
        // Half a namespace has never been given to a container, so nothing is lost with it.
        scopes.close(name);
        CTL_TRY(scopes.pins().make(name, idmap));
    }
    CTL_TRY(scopes.refresh(name));
    Scope* scope = scopes.find(name);
    if (scope == nullptr) return Error(ErrorCode::io, "it was made but is not there");
    CTL_TRY(furnish(*scope));
    if (is_finished && pin->mark == mark) return ok();
    CTL_TRY(scopes.pins().write_mark(name, mark, idmap));
    return scopes.refresh(name);
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

Status remove(Scopes& scopes, std::span<const Change* const> changes) {
    if (changes.empty()) return ok();
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

Status apply_one(Scopes& scopes, const Change& change) {
    switch (change.verb) {
        case Verb::create:
        case Verb::update:
        case Verb::adopt: return make(scopes, change);
        case Verb::forget: return forget(scopes, change.id.name);
        case Verb::remove:
        case Verb::replace:
        case Verb::stop: break;
    }
    return ok();
}

std::string doing(const Change& change) {
    switch (change.verb) {
        case Verb::create: return "creating " + change.id.str();
        case Verb::remove: return "deleting " + change.id.str();
        case Verb::update:
        case Verb::adopt:
        case Verb::forget:
        case Verb::replace:
        case Verb::stop: break;
    }
    return "changing " + change.id.str();
}

}  // namespace

std::vector<Status> apply_namespaces(Scopes& scopes, std::span<const Change* const> changes, const std::stop_token& stop) {
    std::vector<Status> outcomes;
    std::vector<const Change*> removals;
    for (const Change* change : changes) {
        Status outcome = check_netns_name(change->id.name);
        if (outcome && stop.stop_requested()) outcome = Error(ErrorCode::cancelled, "interrupted before it began");
        if (outcome && change->verb == Verb::remove) removals.push_back(change);
        else if (outcome) outcome = apply_one(scopes, *change);
        outcomes.push_back(std::move(outcome));
    }
    const Status removed = remove(scopes, removals);
    for (std::size_t i = 0; i < changes.size(); ++i) {
        if (changes[i]->verb == Verb::remove && outcomes[i]) outcomes[i] = removed;
        if (!outcomes[i]) outcomes[i] = Error(outcomes[i].error()).while_(doing(*changes[i]));
    }
    return outcomes;
}

}  // namespace ctl::drivers::netlink
