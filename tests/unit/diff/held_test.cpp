#include <doctest/doctest.h>

#include "diff/diff.h"
#include "support/builders.h"

using namespace ctl;
using namespace ctl::test;
using diff::Verb;
using model::ContainerState;
using model::HostState;

namespace {

model::Container web(ContainerState state, std::int64_t memory = 0) {
    model::Container container;
    container.state = state;
    if (memory != 0) container.memory_limit = memory;
    return container;
}

model::Entry held(model::Container container) {
    model::Entry entry = ours(std::move(container));
    entry.held = true;
    return entry;
}

diff::Output compare(const HostState& desired, const HostState& observed, const HostState& recorded) {
    static const HostState none;
    return diff::diff({desired, observed, recorded, none, stack_name});
}

const std::string name = "container/web";

}  // namespace

TEST_CASE("a container that a person stopped, froze or started is left so, with a note that says how to end that") {
    struct Case {
        ContainerState wish;
        ContainerState hand;
        std::string hint;
    };
    using enum ContainerState;
    for (const auto& [wish, hand, hint] : {Case{running, stopped, "ctl start web ends that"},
                                           {running, frozen, "ctl unfreeze web ends that"},
                                           {stopped, running, "ctl stop web ends that"}}) {
        const HostState desired = state({{name, wanted(web(wish))}});
        const auto output = compare(desired, state({{name, held(web(hand))}}), desired);
        CHECK(output.changes.empty());
        REQUIRE(output.diagnostics.all().size() == 1);
        CHECK_FALSE(output.diagnostics.has_errors());
        CHECK(output.diagnostics.all().front().hint == hint);
        // One that got there by itself is brought back.
        CHECK(compare(desired, state({{name, ours(web(hand))}}), desired).changes.size() == 1);
    }
}

TEST_CASE("other changes of a held container are made without bringing it back") {
    const HostState recorded = state({{name, wanted(web(ContainerState::running, 1))}});
    const HostState desired = state({{name, wanted(web(ContainerState::running, 2))}});
    const auto output = compare(desired, state({{name, held(web(ContainerState::stopped, 1))}}), recorded);
    REQUIRE(output.changes.size() == 1);
    const auto& change = output.changes.front();
    REQUIRE(change.fields.size() == 1);
    CHECK(change.fields.front().name == "memory_limit");
    CHECK(std::get<model::Container>(change.desired->object).state == ContainerState::stopped);
    CHECK(change.desired->held);
}

TEST_CASE("a manifest that changes its mind about a held container is obeyed") {
    const HostState recorded = state({{name, wanted(web(ContainerState::stopped))}});
    const HostState desired = state({{name, wanted(web(ContainerState::running))}});
    const auto output = compare(desired, state({{name, held(web(ContainerState::stopped))}}), recorded);
    CHECK(output.diagnostics.empty());
    REQUIRE(output.changes.size() == 1);
    CHECK(output.changes.front().verb == Verb::update);
    CHECK_FALSE(output.changes.front().desired->held);
}
