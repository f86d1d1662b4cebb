#pragma once

#include <doctest/doctest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "drivers/netlink/driver.h"
#include "support/own_namespaces.h"
#include "support/skip.h"

#define SKIP_WITHOUT_NAMESPACES() \
    CTL_SKIP_IF(!ctl::testing::enter_own_namespaces().empty(), ctl::testing::enter_own_namespaces())

namespace ctl::testing {

using diff::Change;
using diff::Verb;
using drivers::Driver;
using drivers::Interest;
using model::Link;
using model::LinkType;
using model::Netns;
using model::ObjectId;

/// doctest asks for the text of a check also when an exception passes by and nothing failed.
template <typename T>
std::string why(const Result<T>& outcome) {
    return outcome ? std::string() : outcome.error().str();
}

/// The netlink driver on the test's own network namespace; what is left of ours goes with it.
struct Host {
    Host() {
        driver = std::move(*drivers::make_netlink_driver(
            {.state_dir = "/run/state", .run_dir = run_dir(), .helper_dir = "", .ovs_db = ""}));
    }
    ~Host() {
        std::vector<Change> rest;
        for (const auto& [id, entry] : observe())
            if (entry.mark != model::Mark::none && id.kind != model::ObjectKind::route)
                rest.push_back(change(Verb::remove, id));
        for (const auto& outcome : apply(rest)) CHECK_MESSAGE(outcome.has_value(), why(outcome));
    }

    static Change change(Verb verb, ObjectId id, std::optional<model::Object> object = std::nullopt) {
        Change made;
        made.id = std::move(id);
        made.verb = verb;
        if (object) {
            made.desired.edit().object = std::move(*object);
            made.desired.edit().owner = {"lab", "Container", "web"};
        }
        return made;
    }
    static Change link(const std::string& name, Link object, Verb verb = Verb::create) {
        return change(verb, {model::ObjectKind::link, name}, std::move(object));
    }
    static Change netns(const std::string& name, const std::string& idmap) {
        return change(Verb::create, {model::ObjectKind::netns, name}, Netns{.idmap = idmap});
    }
    static Change update(const std::string& name, Link object, const std::string& field) {
        Change made = link(name, std::move(object), Verb::update);
        diff::FieldChange changed;
        changed.name = field;
        for (const auto& view : model::fields_of(made.desired->object))
            if (view.name == field) changed.to = view.value;
        made.fields.push_back(std::move(changed));
        return made;
    }

    std::vector<Status> apply(std::vector<Change> changes) {
        std::vector<Status> outcomes(changes.size(), Error(ErrorCode::internal, "not reported"));
        driver->apply(changes, [&](std::size_t i, Status outcome) { outcomes[i] = std::move(outcome); }, {});
        return outcomes;
    }
    void must(std::vector<Change> changes) {
        for (const auto& outcome : apply(std::move(changes))) REQUIRE_MESSAGE(outcome.has_value(), why(outcome));
    }
    model::HostState observe(Interest interest = {}) {
        auto observed = driver->observe(interest, {});
        REQUIRE_MESSAGE(observed.has_value(), why(observed));
        return std::move(*observed);
    }
    const model::Entry* find(const std::string& id) {
        state = observe();
        const auto found = state.find(*ObjectId::parse(id));
        return found == state.end() ? nullptr : &found->second;
    }
    Link seen(const std::string& id) {
        const auto* entry = find(id);
        REQUIRE_MESSAGE(entry != nullptr, id);
        return std::get<Link>(entry->object);
    }

    std::unique_ptr<Driver> driver;
    model::HostState state;
};

inline Link bridge() {
    Link link;
    link.type = LinkType::bridge;
    link.up = true;
    link.ipv6 = false;
    return link;
}

inline Link veth(const std::string& peer) {
    Link link;
    link.type = LinkType::veth;
    link.peer = peer;
    link.up = true;
    link.ipv6 = false;
    return link;
}

/// A command in a pinned namespace.
inline std::string in(const std::string& netns, const std::string& command) {
    return sh("nsenter --net=" + run_dir() + "/namespaces/" + netns + "/net " + command);
}

}  // namespace ctl::testing
