#include "reconcile/plan.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "diff/restore.h"
#include "support/builders.h"

using namespace ctl;
using namespace ctl::test;
using diff::Change;
using diff::Verb;
using model::Bond;
using model::Effect;
using reconcile::Plan;

namespace {

Change create(std::string_view name, model::Entry entry) {
    Change change;
    change.id = id(name);
    change.verb = Verb::create;
    change.desired = std::move(entry);
    return change;
}

Change remove(std::string_view name, model::Entry entry) {
    Change change;
    change.id = id(name);
    change.verb = Verb::remove;
    change.observed = std::move(entry);
    return change;
}

Change alter(std::string_view name, model::Entry from, model::Entry to, Verb verb = Verb::update) {
    Change change;
    change.id = id(name);
    change.verb = verb;
    change.effect = verb == Verb::replace ? Effect::replace : Effect::live;
    change.observed = std::move(from);
    change.desired = std::move(to);
    return change;
}

Change restarted(std::string_view name, const model::Entry& entry) {
    Change change = alter(name, entry, entry);
    change.effect = Effect::restart;
    return change;
}

Plan planned(std::vector<Change> changes) {
    auto plan = reconcile::make_plan(stack_name, std::move(changes));
    REQUIRE_MESSAGE(plan.has_value(), plan.error().str());
    return std::move(*plan);
}

/// "create link/br0", in order.
std::vector<std::string> steps(const Plan& plan) {
    std::vector<std::string> texts;
    for (const auto& step : plan.steps)
        texts.push_back(std::string(to_string(step.change.verb)) + " " + step.change.id.str());
    return texts;
}

std::size_t index(const Plan& plan, const std::string& text) {
    const auto all = steps(plan);
    const auto it = std::find(all.begin(), all.end(), text);
    REQUIRE_MESSAGE(it != all.end(), text);
    return static_cast<std::size_t>(it - all.begin());
}

/// True if `then` waits for `first`, directly or through others.
bool waits(const Plan& plan, const std::string& then, const std::string& first) {
    const std::size_t goal = index(plan, first);
    std::vector<std::size_t> open{index(plan, then)};
    while (!open.empty()) {
        const std::size_t at = open.back();
        open.pop_back();
        if (at == goal) return true;
        open.insert(open.end(), plan.steps[at].needs.begin(), plan.steps[at].needs.end());
    }
    return false;
}

}  // namespace

TEST_CASE("what others need is made first") {
    const Plan plan = planned(
        {create("link/a", wanted(macvlan("b"), {need("link/b", Bond::rebuild)})), create("link/b", wanted(bridge()))});
    CHECK(steps(plan) == std::vector<std::string>{"create link/b", "create link/a"});
    CHECK(plan.steps[1].needs == std::vector<std::size_t>{0});
}

TEST_CASE("what others stood on is deleted last") {
    model::Entry child = ours(macvlan("a"));
    child.needs = {need("link/a", Bond::rebuild)};
    CHECK(steps(planned({remove("link/a", ours(bridge())), remove("link/b", child)})) ==
          std::vector<std::string>{"delete link/b", "delete link/a"});
}

TEST_CASE("independent steps stand in the order of their names, whatever order they were given in") {
    const std::vector<std::string> expected{"create link/a", "create link/b", "create pool/a"};
    CHECK(steps(planned({create("pool/a", wanted(model::Pool{})), create("link/b", wanted(bridge())),
                         create("link/a", wanted(bridge()))})) == expected);
}

TEST_CASE("replacing is deleting and creating, with everything bound to it gone in between") {
    model::Entry old_child = ours(macvlan("a"));
    old_child.needs = {need("link/a", Bond::rebuild)};
    const Plan plan =
        planned({alter("link/a", ours(macvlan("eth7")), wanted(bridge()), Verb::replace),
                 alter("link/b", old_child, wanted(macvlan("a"), {need("link/a", Bond::rebuild)}), Verb::replace)});
    CHECK(steps(plan) == std::vector<std::string>{"delete link/b", "delete link/a", "create link/a", "create link/b"});
    CHECK(plan.changes.size() == 2);
    CHECK_FALSE(plan.steps[0].change.desired);
    CHECK_FALSE(plan.steps[2].change.observed);
}

TEST_CASE("a restart is a stop and an update that starts again, around what the container stands on") {
    model::Entry web = ours(container());
    web.needs = {need("netns/web", Bond::restart)};
    const Plan plan = planned(
        {restarted("container/web", web), alter("netns/web", ours(model::Netns{}), wanted(model::Netns{}), Verb::replace)});
    CHECK(steps(plan) ==
          std::vector<std::string>{"stop container/web", "delete netns/web", "create netns/web", "update container/web"});
    const auto& fields = plan.steps[3].change.fields;
    REQUIRE(fields.size() == 1);
    CHECK(fields[0].name == "state");
    CHECK(model::to_text(*fields[0].to) == "running");
}

TEST_CASE("containers stop by priority, the highest first") {
    const auto running = [](std::optional<std::int64_t> priority, std::vector<model::Need> needs = {}) {
        model::Container container;
        container.state = model::ContainerState::running;
        container.stop_priority = priority;
        return wanted(container, std::move(needs));
    };
    const Plan plan = planned({remove("container/a", running(std::nullopt)), remove("container/b", running(5)),
                               remove("container/c", running(10)), remove("container/d", running(-1)),
                               restarted("container/e", running(0))});
    CHECK(waits(plan, "stop container/b", "stop container/c"));
    CHECK(waits(plan, "stop container/a", "stop container/b"));
    CHECK(waits(plan, "stop container/e", "stop container/b"));
    CHECK(waits(plan, "stop container/d", "stop container/a"));
    CHECK_FALSE(waits(plan, "stop container/a", "stop container/e"));
    CHECK_FALSE(waits(plan, "stop container/e", "stop container/a"));

    // A need goes before a priority, also where several of both would make a circle.
    const auto needs_b = need("container/b", Bond::order);
    const auto needs_d = need("container/d", Bond::order);
    const Plan tied = planned({remove("container/a", running(1, {needs_b})), remove("container/b", running(4)),
                               remove("container/c", running(3, {needs_d})), remove("container/d", running(2))});
    CHECK(waits(tied, "stop container/b", "stop container/a"));
    CHECK(waits(tied, "stop container/d", "stop container/c"));
}

TEST_CASE("a deferred change doesn't stop the container") {
    Change change = restarted("container/web", ours(container()));
    change.effect = Effect::live;
    change.deferred = true;
    CHECK(steps(planned({change})) == std::vector<std::string>{"update container/web"});
}

TEST_CASE("a running container stops before it is deleted, and before its namespace and volume go") {
    model::Entry web = ours(container());
    web.needs = {need("netns/web", Bond::restart), need("volume/p/web", Bond::restart)};
    CHECK(steps(planned({remove("container/web", web), remove("netns/web", ours(model::Netns{})),
                         remove("volume/p/web", ours(model::Volume{}))})) ==
          std::vector<std::string>{"stop container/web", "delete container/web", "delete netns/web", "delete volume/p/web"});
}

TEST_CASE("a container that stops for good stops before its other fields change") {
    model::Container now = container();
    model::Container then = container(model::ContainerState::stopped);
    Change change = alter("container/web", ours(now), wanted(then));
    change.fields = {{"state",
                      model::to_field_value(*now.state),
                      model::to_field_value(*then.state),
                      Effect::live,
                      diff::Cause::changed,
                      {}}};
    CHECK(steps(planned({change})) == std::vector<std::string>{"update container/web"});
    change.fields.push_back({"rootfs", std::nullopt, std::string("/a"), Effect::live, diff::Cause::changed, {}});
    const Plan plan = planned({change});
    CHECK(steps(plan) == std::vector<std::string>{"stop container/web", "update container/web"});
    CHECK(plan.steps[1].change.fields.size() == 1);
}

TEST_CASE("a port moves before its old bridge is deleted and after its new one is made") {
    model::Link port = nic();
    port.master = "a";
    model::Entry from = foreign(port);
    from.needs = {need("link/a", Bond::reapply)};
    port.master = "b";
    const model::Entry to = borrowed(port, {need("link/b", Bond::reapply)});
    CHECK(steps(planned(
              {alter("link/enp1", from, to), remove("link/a", ours(bridge())), create("link/b", wanted(bridge()))})) ==
          std::vector<std::string>{"create link/b", "update link/enp1", "delete link/a"});
}

TEST_CASE("where the new bridge takes the old one's name, the old one goes first") {
    model::Link port = nic();
    port.master = "a";
    model::Entry from = foreign(port);
    from.needs = {need("link/a", Bond::reapply)};
    const model::Entry to = borrowed(port, {need("ovs_bridge/a", Bond::reapply)});
    CHECK(steps(planned({alter("link/enp1", from, to), remove("link/a", ours(bridge())),
                         create("ovs_bridge/a", wanted(model::OvsBridge{}))})) ==
          std::vector<std::string>{"delete link/a", "create ovs_bridge/a", "update link/enp1"});
}

TEST_CASE("two pairs of veths can exchange their host names") {
    const auto end = [](const char* peer, const char* inner) {
        model::Entry entry = ours(veth(peer));
        entry.needs = {need(inner, Bond::rebuild)};
        return entry;
    };
    const Plan plan = planned({alter("link/a:eth0", ours(veth("x")), wanted(veth("y")), Verb::replace),
                               alter("link/b:eth0", ours(veth("y")), wanted(veth("x")), Verb::replace),
                               alter("link/x", end("a:eth0", "link/a:eth0"), end("b:eth0", "link/b:eth0"), Verb::replace),
                               alter("link/y", end("b:eth0", "link/b:eth0"), end("a:eth0", "link/a:eth0"), Verb::replace)});
    CHECK(waits(plan, "create link/a:eth0", "delete link/y"));
    CHECK(waits(plan, "create link/b:eth0", "delete link/x"));
    CHECK(waits(plan, "create link/y", "create link/a:eth0"));
}

TEST_CASE("a VXLAN number is free before another link takes it") {
    model::Link tunnel;
    tunnel.type = model::LinkType::vxlan;
    tunnel.vni = 7;
    tunnel.port = 4789;
    CHECK(steps(planned({create("link/a", wanted(tunnel)), remove("link/b", ours(tunnel))})) ==
          std::vector<std::string>{"delete link/b", "create link/a"});
}

TEST_CASE("what is forgotten gets its fields back before the thing it was set for goes") {
    Change change;
    change.id = id("sysctl/net.ipv4.conf.br0.forwarding");
    change.verb = Verb::forget;
    change.observed = foreign(model::Sysctl{.value = "1"});
    change.observed.edit().needs = {need("link/br0", Bond::reapply)};
    CHECK(waits(planned({change, remove("link/br0", ours(bridge()))}), "delete link/br0",
                "forget sysctl/net.ipv4.conf.br0.forwarding"));
}

TEST_CASE("a cycle is an error that names every member with its place") {
    model::Entry a = wanted(container(), {need("container/b", Bond::order)});
    model::Entry b = wanted(container(), {need("container/a", Bond::order)});
    a.where = place(3);
    b.where = place(9);
    const auto plan = reconcile::make_plan(stack_name, {create("container/b", b), create("container/a", a)});
    REQUIRE_FALSE(plan.has_value());
    CHECK(plan.error().code() == ErrorCode::invalid);
    CHECK(
        plan.error().message() ==
        "these need each other: container/a (stack.yaml:3:1) → container/b (stack.yaml:9:1) → container/a (stack.yaml:3:1)");
    CHECK(plan.error().where().str() == "stack.yaml:3:1");
}

TEST_CASE("a thing that needs itself is a cycle") {
    const auto plan =
        reconcile::make_plan(stack_name, {create("link/a", wanted(macvlan("a"), {need("link/a", Bond::rebuild)}))});
    REQUIRE_FALSE(plan.has_value());
    CHECK(plan.error().message() == "these need each other: link/a → link/a");
}

TEST_CASE("the summary counts what a person sees, and restarts apart") {
    Change restart = restarted("container/web", ours(container()));
    const Plan plan = planned({restart, create("link/a", wanted(bridge())), remove("link/b", ours(bridge())),
                               alter("link/c", ours(bridge()), wanted(macvlan("eth7")), Verb::replace)});
    CHECK(to_text(plan, {}).ends_with("Plan: 1 to create, 1 to change (1 restart), 1 to replace, 1 to delete.\n"));
    CHECK_FALSE(needs_confirmation(plan));
    CHECK(needs_confirmation(planned({remove("volume/p/web", ours(model::Volume{}))})));
    CHECK(needs_confirmation(planned({remove("snapshot/p/web@snap0", ours(model::Snapshot{}))})));
    diff::Change back = remove("volume/p/web", ours(model::Volume{}));
    back.verb = diff::Verb::update;
    back.desired = *back.observed;
    CHECK_FALSE(needs_confirmation(planned({back})));
    back.fields.push_back({std::string(diff::restored_field), {}, "snap0", model::Effect::restart, {}, {}});
    CHECK(needs_confirmation(planned({back})));
    CHECK(to_text(planned({}), {}) == "No changes. The host is as the manifest says.\n");
}
