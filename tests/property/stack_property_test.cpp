#include <doctest/doctest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <random>

#include <fmt/format.h>

#include "model/lower.h"
#include "model/parse.h"
#include "model/state_json.h"
#include "model/validate.h"
#include "model/yaml.h"
#include "property/lab.h"

// Random manifests, through all of the model, on a host in memory.

using namespace ctl;
using namespace ctl::test;

namespace {

/// A valid manifest: two bridges, a macvlan, two images, profiles, and up to four containers of all sorts.
std::string make_manifest(Choices choices) {
    const auto one_of = [&](std::initializer_list<std::string_view> texts) {
        return std::string(*(texts.begin() + choices.below(static_cast<unsigned>(texts.size()))));
    };
    std::string text = "stack: lab\nstorage_pools: [{name: default, driver: dir}]\nnetworks:\n";
    text += fmt::format("- {{name: br0, config: {{ipv4.address: 10.1.0.1/24, bridge.mtu: {}}}}}\n",
                        one_of({"1400", "1450", "1500"}));
    text += fmt::format("- {{name: br1, config: {{ipv4.address: {}, ipv6.address: {}{}}}}}\n",
                        one_of({"10.2.0.1/24", "10.3.0.1/16"}), one_of({"none", "'fd42:9::1/64'"}),
                        one_of({"", ", bridge.external_interfaces: enp0"}));
    text += fmt::format("- {{name: mac0, type: macvlan, config: {{parent: enp1, mode: {}}}}}\n",
                        one_of({"bridge", "vepa", "passthru"}));
    text +=
        "images:\n- {name: busybox, source: {type: busybox}}\n- {name: other, source: {type: directory, path: "
        "/srv/other}}\n";
    text += fmt::format(
        "profiles:\n- {{name: default, config: {{{}}}, devices: {{root: {{type: disk, path: /, pool: default}}}}}}\n",
        one_of({"", "limits.memory: 64MiB", "environment.A: b", "security.privileged: true"}));
    text += "- {name: nic, devices: {eth0: {type: nic, nictype: bridged, parent: br0}}}\ncontainers:\n";
    for (unsigned i = 1; i <= 4; ++i) {
        if (choices.below(4) == 0) continue;
        text += fmt::format("- name: c{}\n  image: {}\n  state: {}\n  profiles: [default{}]\n", i,
                            one_of({"busybox", "other"}), one_of({"running", "stopped", "frozen"}), one_of({"", ", nic"}));
        text += fmt::format("  config: {{{}}}\n  devices:\n",
                            one_of({"", "limits.processes: 50", "boot.autostart: true", "security.privileged: true"}));
        text += fmt::format(
            "    eth1: {{type: nic, {}}}\n",
            one_of({"nictype: bridged, parent: br1", "nictype: macvlan, parent: mac0", "nictype: p2p", "network: br0"}));
        if (choices.coin())
            text += fmt::format("    data: {{type: disk, source: /srv/{}, path: /data}}\n", one_of({"a", "b"}));
    }
    return text + (text.ends_with("containers:\n") ? "[]\n" : "");
}

model::resource::Stack read(const std::string& manifest) {
    Diagnostics diagnostics;
    const auto documents = model::load_yaml(manifest, "stack.yaml", diagnostics);
    auto stack = model::parse(documents, "lab", diagnostics);
    model::validate(stack, diagnostics);
    for (const auto& d : diagnostics.all())
        if (d.severity == Severity::error) RC_FAIL(d.where.str() + ": " + d.message + "\n" + manifest);
    return stack;
}

/// What the journal would remember of allocations.
struct Memory {
    model::Allocations allocations;

    model::HostState lower(const std::string& manifest) {
        auto lowered = model::lower(read(manifest), allocations, {});
        if (lowered.diagnostics.has_errors()) RC_FAIL(lowered.diagnostics.all().front().message);
        allocations = lowered.allocations;
        return std::move(lowered.desired);
    }
};

}  // namespace

TEST_CASE("one stack becomes another, and then nothing is left to do") {
    CHECK(rc::check("apply settles", [] {
        const std::string first = make_manifest(Choices(*seeds(40).as("first stack")));
        const std::string second = make_manifest(Choices(*seeds(40).as("second stack")));
        Lab lab;
        Memory memory;
        for (const auto& manifest : {first, second, first}) {
            const auto desired = memory.lower(manifest);
            lab.apply(desired);
            lab.check_settled(desired);
        }
    }));
}

TEST_CASE("going back to the stack before restores the host, ours and theirs") {
    CHECK(rc::check("undo restores", [] {
        Lab lab;
        Memory memory;
        const auto before = memory.lower(make_manifest(Choices(*seeds(40).as("first stack"))));
        lab.apply(before);
        const std::string snapshot = text_of(lab.host.seen());
        lab.apply(memory.lower(make_manifest(Choices(*seeds(40).as("second stack")))));
        lab.apply(before);
        RC_ASSERT(text_of(lab.host.seen()) == snapshot);
    }));
}

TEST_CASE("deleting a stack leaves the host as if it had never been there") {
    CHECK(rc::check("delete leaves nothing", [] {
        Lab lab;
        const std::string untouched = text_of(lab.host.seen());
        Memory memory;
        lab.apply(memory.lower(make_manifest(Choices(*seeds(40).as("stack")))));
        lab.apply({});
        RC_ASSERT(text_of(lab.host.seen()) == untouched);
    }));
}

TEST_CASE("a run of a stack that ends after any step is finished by the next one") {
    CHECK(rc::check("prefixes converge", [] {
        Lab lab;
        Memory memory;
        lab.apply(memory.lower(make_manifest(Choices(*seeds(40).as("first stack")))));
        const auto second = memory.lower(make_manifest(Choices(*seeds(40).as("second stack"))));
        const auto plan = lab.plan(second);
        const std::size_t steps =
            plan.steps.empty() ? 0 : *rc::gen::inRange<std::size_t>(0, plan.steps.size()).as("steps done");
        for (std::size_t i = 0; i < steps; ++i) lab.step(plan.steps[i], second);
        lab.apply(second);
        lab.check_settled(second);
    }));
}

TEST_CASE("the steps from one stack to another may run in every order that their needs allow") {
    CHECK(rc::check("every order works", [] {
        Lab lab;
        Memory memory;
        lab.apply(memory.lower(make_manifest(Choices(*seeds(40).as("first stack")))));
        const auto second = memory.lower(make_manifest(Choices(*seeds(40).as("second stack"))));
        Lab straight = lab;
        straight.apply(second);
        const auto plan = lab.plan(second);
        for (const std::size_t i : any_order(plan, Choices(*seeds(200).as("luck")))) lab.step(plan.steps[i], second);
        lab.finish(second);
        lab.check_settled(second);
        RC_ASSERT(text_of(lab.host.seen()) == text_of(straight.host.seen()));
    }));
}

TEST_CASE("the order of a manifest's resources does not change a byte of the plan") {
    CHECK(rc::check("shuffled input, same bytes", [] {
        auto stack = read(make_manifest(Choices(*seeds(40).as("stack"))));
        const auto plan_of = [](const model::resource::Stack& s) {
            return to_json(Lab().plan(model::lower(s, {}, {}).desired));
        };
        const std::string straight = plan_of(stack);
        std::mt19937 random(*rc::gen::arbitrary<unsigned>().as("shuffle"));
        std::shuffle(stack.networks.begin(), stack.networks.end(), random);
        std::shuffle(stack.images.begin(), stack.images.end(), random);
        std::shuffle(stack.profiles.begin(), stack.profiles.end(), random);
        std::shuffle(stack.containers.begin(), stack.containers.end(), random);
        RC_ASSERT(plan_of(stack) == straight);
    }));
}
