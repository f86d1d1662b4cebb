#include <doctest/doctest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <functional>
#include <sstream>

#include "diff/diff.h"
#include "property/world.h"
#include "reconcile/plan.h"
#include "support/fake_host.h"

using namespace ctl;
using namespace ctl::test;
using diff::Verb;
using model::HostState;
using reconcile::Plan;

namespace {

model::Link jumbo_nic() {
    model::Link link = nic();
    link.mtu = 9000;
    return link;
}

/// A host of its own for every case: two NICs and things of other people's, and what was recorded of it.
struct Lab {
    FakeHost host;
    HostState recorded;

    Lab() {
        host.add_foreign(id("link/enp0"), nic());
        host.add_foreign(id("link/enp1"), jumbo_nic());
        host.add_foreign(id("link/docker0"), bridge());
        host.add_foreign(id("container/theirs"), container());
        host.add_foreign(id("netns/theirs"), model::Netns{});
    }

    diff::Output compare(const HostState& desired) const {
        static const HostState nobody;
        const HostState observed = host.seen();
        return diff::diff(
            {.desired = desired, .observed = observed, .recorded = recorded, .others = nobody, .stack = stack_name});
    }

    Plan plan(const HostState& desired) const {
        auto output = compare(desired);
        for (const auto& d : output.diagnostics.all()) RC_FAIL(d.rule + ": " + d.message);
        auto plan = reconcile::make_plan(stack_name, std::move(output.changes));
        if (!plan) RC_FAIL(plan.error().str());
        return std::move(*plan);
    }

    /// Runs one step and records it as the reconciler does.
    void step(const reconcile::Step& step, const HostState& desired) {
        const auto outcome = host.run(step.change);
        if (!outcome) RC_FAIL(std::string(to_string(step.change.verb)) + ": " + outcome.error().str());
        const auto& object_id = step.change.id;
        if (step.change.verb == Verb::remove || step.change.verb == Verb::forget) recorded.erase(object_id);
        else if (step.change.verb != Verb::stop) recorded.insert_or_assign(object_id, desired.at(object_id));
    }

    void finish(const HostState& desired) { recorded = desired; }

    void apply(const HostState& desired) {
        const Plan to_do = plan(desired);
        for (const auto& one : to_do.steps) step(one, desired);
        finish(desired);
    }

    void check_settled(const HostState& desired) const {
        const Plan left = plan(desired);
        if (!left.changes.empty()) RC_FAIL("a second plan is not empty:\n" + to_text(left, {}));
        const HostState seen = host.seen();
        for (const auto& [object_id, entry] : desired) {
            const auto there = seen.find(object_id);
            const auto* object = there != seen.end() ? &there->second.object : nullptr;
            if (!diff::unmet(entry.object, object).empty()) RC_FAIL(object_id.str() + " is not as wanted");
        }
        for (const auto& [object_id, entry] : seen)
            if (entry.mark != model::Mark::none && !desired.contains(object_id))
                RC_FAIL(object_id.str() + " was left behind");
    }
};

std::string text_of(const HostState& state) {
    std::ostringstream out;
    for (const auto& [object_id, entry] : state) {
        out << object_id.str() << (entry.mark == model::Mark::none ? " (theirs)" : "");
        for (const auto& view : model::fields_of(entry.object))
            if (view.value) out << ' ' << view.name << '=' << model::to_text(*view.value);
        out << '\n';
    }
    return out.str();
}

/// Steps in some order that their needs allow; `choose` picks among those that are ready.
std::vector<std::size_t> any_order(const Plan& plan, Choices choices) {
    std::vector<std::size_t> order;
    std::vector<bool> done(plan.steps.size());
    while (order.size() < plan.steps.size()) {
        std::vector<std::size_t> ready;
        for (std::size_t i = 0; i < plan.steps.size(); ++i) {
            const auto& needs = plan.steps[i].needs;
            if (!done[i] && std::all_of(needs.begin(), needs.end(), [&](std::size_t n) { return done[n]; }))
                ready.push_back(i);
        }
        const std::size_t next = ready[choices.below(static_cast<unsigned>(ready.size()))];
        done[next] = true;
        order.push_back(next);
    }
    return order;
}

using Seed = std::vector<unsigned>;

rc::Gen<Seed> seeds(std::size_t length) { return rc::gen::container<Seed>(length, rc::gen::inRange(0U, 12U)); }

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
