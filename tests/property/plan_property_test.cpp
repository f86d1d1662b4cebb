#include <doctest/doctest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <functional>

#include "property/lab.h"
#include "property/world.h"

using namespace ctl;
using namespace ctl::test;
using diff::Verb;
using model::HostState;
using reconcile::Plan;

namespace {

void holds(const char* what, const std::function<void(const Seed&, const Seed&, const Seed&)>& property) {
    CHECK(rc::check(what, [&] {
        const Seed a = *seeds(120).as("first world");
        const Seed b = *seeds(120).as("second world");
        property(a, b, *seeds(200).as("luck"));
    }));
}

}  // namespace

TEST_CASE("one world becomes another, and then nothing is left to do") {
    holds("apply settles", [](const Seed& a, const Seed& b, const Seed&) {
        Lab lab;
        for (const auto& world : {make_world(a), make_world(b), make_world(a)}) {
            lab.apply(world);
            lab.check_settled(world);
        }
    });
}

TEST_CASE("undoing a plan restores the host, ours and theirs") {
    holds("undo restores", [](const Seed& a, const Seed& b, const Seed&) {
        Lab lab;
        const HostState before = make_world(a);
        lab.apply(before);
        const std::string snapshot = text_of(lab.host.seen());
        lab.apply(make_world(b));
        lab.apply(before);
        RC_ASSERT(text_of(lab.host.seen()) == snapshot);
    });
}

TEST_CASE("a run that ends after any step is finished by the next one") {
    holds("prefixes converge", [](const Seed& a, const Seed& b, const Seed& luck) {
        Lab lab;
        const HostState first = make_world(a);
        const HostState second = make_world(b);
        lab.apply(first);
        Lab straight = lab;
        straight.apply(second);
        const Plan plan = lab.plan(second);
        Choices choices(luck);
        const std::size_t steps = plan.steps.empty() ? 0 : choices.below(static_cast<unsigned>(plan.steps.size()));
        for (std::size_t i = 0; i < steps; ++i) lab.step(plan.steps[i], second);
        lab.apply(second);
        lab.check_settled(second);
        RC_ASSERT(text_of(lab.host.seen()) == text_of(straight.host.seen()));
    });
}

TEST_CASE("a creation that is cut off half-way is completed by the next run") {
    holds("half-made things are completed", [](const Seed& a, const Seed& b, const Seed& luck) {
        Lab lab;
        const HostState first = make_world(a);
        const HostState second = make_world(b);
        lab.apply(first);
        const Plan plan = lab.plan(second);
        Choices choices(luck);
        if (plan.steps.empty()) return;
        const std::size_t broken = choices.below(static_cast<unsigned>(plan.steps.size()));
        for (std::size_t i = 0; i < broken; ++i) lab.step(plan.steps[i], second);
        lab.host.fail_at(0, true);
        RC_ASSERT(!lab.host.run(plan.steps[broken].change));
        lab.apply(second);
        lab.check_settled(second);
    });
}

TEST_CASE("steps may run in every order that their needs allow") {
    holds("every order works", [](const Seed& a, const Seed& b, const Seed& luck) {
        Lab lab;
        const HostState second = make_world(b);
        lab.apply(make_world(a));
        Lab straight = lab;
        straight.apply(second);
        const Plan plan = lab.plan(second);
        for (const std::size_t i : any_order(plan, Choices(luck))) lab.step(plan.steps[i], second);
        lab.finish(second);
        lab.check_settled(second);
        RC_ASSERT(text_of(lab.host.seen()) == text_of(straight.host.seen()));
    });
}

TEST_CASE("the order of the changes given does not change a byte of the plan") {
    holds("plans are deterministic", [](const Seed& a, const Seed& b, const Seed& luck) {
        Lab lab;
        lab.apply(make_world(a));
        auto changes = lab.compare(make_world(b)).changes;
        const auto plan = reconcile::make_plan(stack_name, changes);
        Choices choices(luck);
        for (std::size_t i = changes.size(); i > 1; --i)
            std::swap(changes[i - 1], changes[choices.below(static_cast<unsigned>(i))]);
        const auto shuffled = reconcile::make_plan(stack_name, changes);
        RC_ASSERT(plan.has_value());
        RC_ASSERT(shuffled.has_value());
        RC_ASSERT(to_json(*plan) == to_json(*shuffled));
        RC_ASSERT(to_text(*plan, {}) == to_text(*shuffled, {}));
    });
}

TEST_CASE("what is not ours never changes") {
    holds("foreign things stay", [](const Seed& a, const Seed& b, const Seed&) {
        Lab lab;
        const HostState before = lab.host.seen();
        lab.apply(make_world(a));
        lab.apply(make_world(b));
        const HostState after = lab.host.seen();
        for (const char* name : {"link/docker0", "link/enp0", "container/theirs", "netns/theirs"})
            RC_ASSERT(before.at(id(name)).object == after.at(id(name)).object);
        RC_ASSERT(after.at(id("link/enp1")).mark == model::Mark::none);
        lab.apply({});
        RC_ASSERT(text_of(lab.host.seen()) == text_of(before));
    });
}

TEST_CASE("things deleted by hand come back") {
    holds("drift is mended", [](const Seed& a, const Seed& b, const Seed& luck) {
        Lab lab;
        const HostState world = make_world(a);
        lab.apply(make_world(b));
        lab.apply(world);
        Choices choices(luck);
        for (unsigned n = choices.below(4); n != 0; --n) {
            std::vector<model::ObjectId> mine;
            for (const auto& [object_id, entry] : lab.host.seen())
                if (entry.mark == model::Mark::complete) mine.push_back(object_id);
            if (!mine.empty()) lab.host.vanish(mine[choices.below(static_cast<unsigned>(mine.size()))]);
        }
        lab.apply(world);
        lab.check_settled(world);
    });
}
