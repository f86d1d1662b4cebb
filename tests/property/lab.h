#pragma once

#include <rapidcheck.h>

#include <algorithm>
#include <sstream>
#include <string>
#include <vector>

#include "diff/diff.h"
#include "property/world.h"
#include "reconcile/plan.h"
#include "support/fake_host.h"

namespace ctl::test {

inline model::Link jumbo_nic() {
    model::Link link = nic();
    link.mtu = 9000;
    return link;
}

/// A host of its own for every case: two NICs and things of other people's, and what was recorded of it.
struct Lab {
    FakeHost host;
    model::HostState recorded;

    Lab() {
        host.add_foreign(id("link/enp0"), nic());
        host.add_foreign(id("link/enp1"), jumbo_nic());
        host.add_foreign(id("link/docker0"), bridge());
        host.add_foreign(id("container/theirs"), container());
        host.add_foreign(id("netns/theirs"), model::Netns{});
    }

    diff::Output compare(const model::HostState& desired) const {
        static const model::HostState nobody;
        const model::HostState observed = host.seen();
        return diff::diff(
            {.desired = desired, .observed = observed, .recorded = recorded, .others = nobody, .stack = stack_name});
    }

    reconcile::Plan plan(const model::HostState& desired) const {
        auto output = compare(desired);
        for (const auto& d : output.diagnostics.all()) RC_FAIL(d.rule + ": " + d.message);
        auto plan = reconcile::make_plan(stack_name, std::move(output.changes));
        if (!plan) RC_FAIL(plan.error().str());
        return std::move(*plan);
    }

    /// Runs one step and records it as the reconciler does.
    void step(const reconcile::Step& step, const model::HostState& desired) {
        const auto outcome = host.run(step.change);
        if (!outcome) RC_FAIL(std::string(to_string(step.change.verb)) + ": " + outcome.error().str());
        const auto& object_id = step.change.id;
        if (step.change.verb == diff::Verb::remove || step.change.verb == diff::Verb::forget) recorded.erase(object_id);
        else if (step.change.verb != diff::Verb::stop) recorded.insert_or_assign(object_id, desired.at(object_id));
    }

    void finish(const model::HostState& desired) { recorded = desired; }

    void apply(const model::HostState& desired) {
        const reconcile::Plan to_do = plan(desired);
        for (const auto& one : to_do.steps) step(one, desired);
        finish(desired);
    }

    void check_settled(const model::HostState& desired) const {
        const reconcile::Plan left = plan(desired);
        if (!left.changes.empty()) RC_FAIL("a second plan is not empty:\n" + to_text(left, {}));
        const model::HostState seen = host.seen();
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

/// Steps in some order that their needs allow; `choose` picks among those that are ready.
inline std::vector<std::size_t> any_order(const reconcile::Plan& plan, Choices choices) {
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

inline std::string text_of(const model::HostState& state) {
    std::ostringstream out;
    for (const auto& [object_id, entry] : state) {
        out << object_id.str() << (entry.mark == model::Mark::none ? " (theirs)" : "");
        for (const auto& view : model::fields_of(entry.object))
            if (view.value) out << ' ' << view.name << '=' << model::to_text(*view.value);
        out << '\n';
    }
    return out.str();
}

using Seed = std::vector<unsigned>;

inline rc::Gen<Seed> seeds(std::size_t length) { return rc::gen::container<Seed>(length, rc::gen::inRange(0U, 12U)); }

}  // namespace ctl::test
