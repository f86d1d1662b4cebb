#include <doctest/doctest.h>

#include <algorithm>

#include "diff/diff.h"
#include "support/builders.h"

using namespace ctl;
using namespace ctl::test;
using diff::Verb;
using model::Bond;
using model::ContainerState;
using model::Effect;
using model::HostState;
using model::Netns;
using model::OnRestartNeeded;

namespace {

/// A container with a veth on a bridge, as lowering makes it.
HostState stack_with(std::string idmap, ContainerState run_state = ContainerState::running) {
    model::Link outer = veth("web:eth0");
    outer.master = "br0";
    return state(
        {{"link/br0", wanted(bridge())},
         {"netns/web", wanted(Netns{.idmap = std::move(idmap)})},
         {"link/web:eth0", wanted(veth("v0"), {need("link/br0", Bond::order), need("netns/web", Bond::rebuild)})},
         {"link/v0", wanted(outer, {need("link/br0", Bond::reapply), need("link/web:eth0", Bond::rebuild)})},
         {"route/web:0.0.0.0/0",
          wanted(model::Route{.via = "10.0.0.1", .dev = "eth0"}, {need("link/web:eth0", Bond::rebuild)})},
         {"sysctl/net.ipv4.conf.br0.forwarding", borrowed(model::Sysctl{.value = "1"}, {need("link/br0", Bond::reapply)})},
         {"container/web",
          wanted(container(run_state), {need("netns/web", Bond::restart), need("link/web:eth0", Bond::order)})}});
}

/// What the host shows of a state that was applied.
HostState applied(HostState wanted_state) {
    for (auto& [object_id, entry] : wanted_state) {
        entry.mark = entry.borrowed ? model::Mark::none : model::Mark::complete;
        entry.needs.clear();
        entry.borrowed = false;
    }
    return wanted_state;
}

struct Case {
    HostState desired;
    HostState observed;
    std::optional<OnRestartNeeded> policy{};

    diff::Output run() const {
        static const HostState none;
        return diff::diff({desired, observed, desired, none, stack_name, policy});
    }
};

const diff::Change& change(const diff::Output& output, std::string_view name) {
    const auto it =
        std::find_if(output.changes.begin(), output.changes.end(), [&](const auto& c) { return c.id == id(name); });
    REQUIRE_MESSAGE(it != output.changes.end(), std::string(name));
    return *it;
}

}  // namespace

TEST_CASE("a replaced namespace takes its links and routes with it and restarts its container") {
    const auto output = Case{stack_with("none"), applied(stack_with("0:100000:65536"))}.run();
    CHECK(output.diagnostics.empty());
    CHECK(output.changes.size() == 5);
    for (const char* name : {"netns/web", "link/web:eth0", "link/v0", "route/web:0.0.0.0/0"})
        CHECK(change(output, name).verb == Verb::replace);
    CHECK(change(output, "link/web:eth0").reason == "needs netns/web, which is replaced");
    CHECK(change(output, "container/web").verb == Verb::update);
    CHECK(change(output, "container/web").effect == Effect::restart);
    CHECK(change(output, "container/web").fields.empty());
    CHECK(change(output, "container/web").reason == "needs netns/web, which is replaced");
}

TEST_CASE("a stopped container needs no restart when its namespace is replaced") {
    const auto output =
        Case{stack_with("none", ContainerState::stopped), applied(stack_with("0:100000:65536", ContainerState::stopped))}
            .run();
    CHECK(output.changes.size() == 4);
}

TEST_CASE("a container that must not restart keeps its namespace from being replaced") {
    for (const auto policy : {OnRestartNeeded::never, OnRestartNeeded::defer}) {
        const auto output = Case{stack_with("none"), applied(stack_with("0:100000:65536")), policy}.run();
        REQUIRE(output.diagnostics.error_count() == 1);
        CHECK(output.diagnostics.all()[0].rule == "restart-needed");
    }
}

TEST_CASE("a namespace that is gone restarts the container, now or with its next restart") {
    HostState seen = applied(stack_with("none"));
    for (const char* name : {"netns/web", "link/web:eth0", "link/v0", "route/web:0.0.0.0/0"}) seen.erase(id(name));
    CHECK(change(Case{stack_with("none"), seen}.run(), "container/web").effect == Effect::restart);
    const auto deferred = Case{stack_with("none"), seen, OnRestartNeeded::defer}.run();
    CHECK(deferred.diagnostics.empty());
    CHECK(change(deferred, "container/web").deferred);
}

TEST_CASE("one end of a veth pair can't be replaced without the other") {
    HostState seen = applied(stack_with("none"));
    std::get<model::Link>(seen.at(id("link/v0")).object).type = model::LinkType::macvlan;
    const auto output = Case{stack_with("none"), seen}.run();
    CHECK(change(output, "link/v0").verb == Verb::replace);
    CHECK(change(output, "link/web:eth0").verb == Verb::replace);
    CHECK(change(output, "route/web:0.0.0.0/0").verb == Verb::replace);
}

TEST_CASE("a replaced bridge gets its ports and sysctls back") {
    HostState seen = applied(stack_with("none"));
    seen.at(id("link/br0")).object = macvlan("eth7");
    const auto output = Case{stack_with("none"), seen}.run();
    CHECK(output.changes.size() == 3);
    CHECK(change(output, "link/v0").verb == Verb::update);
    CHECK(change(output, "link/v0").fields.empty());
    CHECK(change(output, "sysctl/net.ipv4.conf.br0.forwarding").verb == Verb::update);
}

TEST_CASE("a port that has changes of its own is still put back into its replaced bridge") {
    HostState seen = applied(stack_with("none"));
    seen.at(id("link/br0")).object = macvlan("eth7");
    std::get<model::Link>(seen.at(id("link/v0")).object).up = false;
    const auto output = Case{stack_with("none"), seen}.run();
    const auto& fields = change(output, "link/v0").fields;
    CHECK(std::any_of(fields.begin(), fields.end(), [](const auto& f) { return f.name == "up"; }));
    CHECK(std::any_of(fields.begin(), fields.end(), [](const auto& f) { return f.name == "master"; }));
}

TEST_CASE("a bridge that is gone doesn't take away what is guarded on it") {
    HostState desired =
        state({{"link/m", wanted(macvlan("eth7"))}, {"link/n", wanted(macvlan("m"), {need("link/m", Bond::rebuild)})}});
    HostState seen = applied(desired);
    std::get<model::Link>(seen.at(id("link/m")).object).parent = "eth8";
    desired.at(id("link/n")).lifecycle.prevent_destroy = true;
    const auto output = Case{desired, seen}.run();
    REQUIRE(output.diagnostics.error_count() == 1);
    CHECK(output.diagnostics.all()[0].rule == "prevent-destroy");
}

TEST_CASE("ids shifted in a volume restart the container that runs from it") {
    const auto with = [](const char* idmap) {
        model::Volume volume;
        volume.idmap = idmap;
        return state({{"volume/p/web", wanted(volume)},
                      {"container/web", wanted(container(), {need("volume/p/web", Bond::restart)})}});
    };
    const auto output = Case{with("none"), applied(with("0:100000:65536"))}.run();
    CHECK(change(output, "volume/p/web").verb == Verb::update);
    CHECK(change(output, "container/web").effect == Effect::restart);
    CHECK(change(output, "container/web").reason == "needs volume/p/web, which is changed");
}
