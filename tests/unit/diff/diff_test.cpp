#include "diff/diff.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "support/builders.h"

using namespace ctl;
using namespace ctl::test;
using diff::Cause;
using diff::Verb;
using model::Bond;
using model::ContainerState;
using model::Effect;
using model::HostState;
using model::OnRestartNeeded;

namespace {

struct Case {
    HostState desired;
    HostState observed;
    HostState recorded;
    HostState others;
    std::optional<OnRestartNeeded> policy;

    diff::Output run() const { return diff::diff({desired, observed, recorded, others, stack_name, policy}); }
};

const diff::Change& only(const diff::Output& output) {
    REQUIRE(output.diagnostics.empty());
    REQUIRE(output.changes.size() == 1);
    return output.changes.front();
}

const diff::Change* find(const diff::Output& output, std::string_view name) {
    const auto it =
        std::find_if(output.changes.begin(), output.changes.end(), [&](const auto& c) { return c.id == id(name); });
    return it != output.changes.end() ? &*it : nullptr;
}

const Diagnostic& fault(const diff::Output& output, std::string_view rule) {
    REQUIRE(output.diagnostics.all().size() == 1);
    CHECK(output.diagnostics.all().front().rule == rule);
    CHECK(output.diagnostics.has_errors());
    return output.diagnostics.all().front();
}

model::Link bridge_with_mtu(std::int64_t mtu) {
    model::Link link = bridge();
    link.mtu = mtu;
    return link;
}

model::Link bridge_with(const std::vector<std::string>& addresses) {
    model::Link link = bridge();
    link.addresses = cidrs(addresses);
    return link;
}

model::Entry with_policy(model::Entry entry, OnRestartNeeded policy) {
    entry.lifecycle.on_restart_needed = policy;
    return entry;
}

model::Container with_environment(std::string value, ContainerState state = ContainerState::running) {
    model::Container object = container(state);
    object.environment = {{"A", std::move(value)}};
    return object;
}

}  // namespace

TEST_CASE("a host that is as wanted needs no change") {
    const Case c{state({{"link/br0", wanted(bridge_with_mtu(1400))}}),
                 state({{"link/br0", ours(bridge_with_mtu(1400))}}),
                 {},
                 {},
                 {}};
    CHECK(c.run().changes.empty());
    CHECK(c.run().diagnostics.empty());
}

TEST_CASE("what is wanted and isn't there is created, and the reason tells new from gone") {
    Case c{state({{"link/br0", wanted(bridge())}}), {}, {}, {}, {}};
    CHECK(only(c.run()).verb == Verb::create);
    CHECK(only(c.run()).reason == "new in the stack");
    c.recorded = c.desired;
    CHECK(only(c.run()).reason == "gone from the host");
}

TEST_CASE("a field that differs from the manifest of before is changed, from the host's own state is drift") {
    Case c{state({{"link/br0", wanted(bridge_with_mtu(1400))}}),
           state({{"link/br0", ours(bridge_with_mtu(1500))}}),
           state({{"link/br0", wanted(bridge_with_mtu(1500))}}),
           {},
           {}};
    c.desired.begin()->second.places["mtu"] = place(12);
    const auto output = c.run();
    const auto& change = only(output);
    CHECK(change.verb == Verb::update);
    CHECK(change.reason == "mtu changed");
    REQUIRE(change.fields.size() == 1);
    CHECK(change.fields[0].cause == Cause::changed);
    CHECK(change.fields[0].where.str() == "stack.yaml:12:1");
    c.recorded = c.desired;
    CHECK(only(c.run()).fields[0].cause == Cause::drift);
    CHECK(only(c.run()).reason == "mtu drifted");
}

TEST_CASE("a field nobody mentions is left alone") {
    const Case c{state({{"link/br0", wanted(bridge())}}),
                 state({{"link/br0", ours(bridge_with_mtu(9000))}}),
                 state({{"link/br0", wanted(bridge())}}),
                 {},
                 {}};
    CHECK(c.run().changes.empty());
}

TEST_CASE("a field taken out of the manifest goes back to its default, unless somebody changed it since") {
    Case c{state({{"link/br0", wanted(bridge())}}),
           state({{"link/br0", ours(bridge_with_mtu(1400))}}),
           state({{"link/br0", wanted(bridge_with_mtu(1400))}}),
           {},
           {}};
    const auto output = c.run();
    REQUIRE(only(output).fields.size() == 1);
    CHECK(only(output).fields[0].cause == Cause::unset);
    CHECK_FALSE(only(output).fields[0].to);
    c.observed = state({{"link/br0", ours(bridge_with_mtu(9000))}});
    CHECK(c.run().changes.empty());
}

TEST_CASE("of addresses only our own are taken away") {
    const Case c{state({{"link/br0", wanted(bridge_with({"10.0.0.2/24"}))}}),
                 state({{"link/br0", ours(bridge_with({"10.0.0.1/24", "10.0.0.9/24"}))}}),
                 state({{"link/br0", wanted(bridge_with({"10.0.0.1/24"}))}}),
                 {},
                 {}};
    const auto output = c.run();
    REQUIRE(only(output).fields.size() == 1);
    CHECK(model::to_text(*only(output).fields[0].to) == "10.0.0.2/24, 10.0.0.9/24");
    CHECK(std::get<model::Link>(only(output).desired->object).addresses == cidrs({"10.0.0.2/24", "10.0.0.9/24"}));
}

TEST_CASE("addresses that are no longer managed go, those of others stay") {
    const Case c{state({{"link/br0", wanted(bridge())}}),
                 state({{"link/br0", ours(bridge_with({"10.0.0.1/24", "10.0.0.9/24"}))}}),
                 state({{"link/br0", wanted(bridge_with({"10.0.0.1/24"}))}}),
                 {},
                 {}};
    CHECK(model::to_text(*only(c.run()).fields.at(0).to) == "10.0.0.9/24");
}

TEST_CASE("an empty list and none at all are the same") {
    const Case c{state({{"link/br0", wanted(bridge_with({}))}}), state({{"link/br0", ours(bridge())}}), {}, {}, {}};
    CHECK(c.run().changes.empty());
}

TEST_CASE("a thing of the name that isn't ours is a conflict that tells what it is") {
    const Case c{state({{"link/br0", wanted(bridge())}}), state({{"link/br0", foreign(macvlan("eth7"))}}), {}, {}, {}};
    const auto output = c.run();
    CHECK(output.changes.empty());
    CHECK(fault(output, "conflict").message.find("macvlan, parent eth7") != std::string::npos);
}

TEST_CASE("a thing of another stack's is a conflict that names the stack and its resource") {
    Case c{state({{"link/br0", wanted(bridge())}}), state({{"link/br0", ours(bridge())}}), {}, {}, {}};
    c.observed.begin()->second.owner = {"prod", "Network", "br0"};
    CHECK(fault(c.run(), "conflict").message == "link/br0 of Network/net belongs to Network/br0 of stack \"prod\"");
    c.others = c.observed;
    c.observed.clear();
    CHECK(fault(c.run(), "conflict").message == "link/br0 of Network/net belongs to Network/br0 of stack \"prod\"");
}

TEST_CASE("two stacks may set different fields of a borrowed thing, not the same one to different values") {
    Case c{state({{"link/enp1", borrowed(bridge_with_mtu(9000))}}), state({{"link/enp1", foreign(nic())}}), {}, {}, {}};
    std::get<model::Link>(c.desired.begin()->second.object).type.reset();
    c.others = state({{"link/enp1", borrowed(nic())}});
    CHECK(only(c.run()).verb == Verb::update);
    std::get<model::Link>(c.others.begin()->second.object).mtu = 1500;
    CHECK(fault(c.run(), "conflict").message.find("mtu of link/enp1") == 0);
}

TEST_CASE("a borrowed thing that isn't there is an error, a sysctl of a link made in the same plan is not") {
    const model::Sysctl on{.value = "1"};
    Case c{state({{"link/enp1", borrowed(nic())}}), {}, {}, {}, {}};
    CHECK(fault(c.run(), "missing-host-object").message == "interface \"enp1\" is not on this host");
    c.desired = state({{"link/br0", wanted(bridge())},
                       {"sysctl/net.ipv4.conf.br0.forwarding", borrowed(on, {need("link/br0", Bond::reapply)})}});
    const auto output = c.run();
    REQUIRE(output.diagnostics.empty());
    REQUIRE(output.changes.size() == 2);
    CHECK(find(output, "sysctl/net.ipv4.conf.br0.forwarding")->verb == Verb::update);
    CHECK(find(output, "sysctl/net.ipv4.conf.br0.forwarding")->fields.size() == 1);
}

TEST_CASE("a missing interface is reported even if the bridge it goes into is new") {
    model::Link port = nic();
    port.master = "br0";
    const Case c{state({{"link/br0", wanted(bridge())}, {"link/enp1", borrowed(port, {need("link/br0", Bond::reapply)})}}),
                 {},
                 {},
                 {},
                 {}};
    static_cast<void>(fault(c.run(), "missing-host-object"));
}

TEST_CASE("what left the stack is deleted if it is ours and is forgotten if it isn't or shall stay") {
    Case c{{}, state({{"link/br0", ours(bridge())}}), state({{"link/br0", wanted(bridge())}}), {}, {}};
    CHECK(only(c.run()).verb == Verb::remove);
    c.recorded.begin()->second.lifecycle.prune = false;
    CHECK(only(c.run()).verb == Verb::forget);
    c.recorded.begin()->second.lifecycle.prune = true;
    c.observed = state({{"link/br0", foreign(bridge())}});
    CHECK(only(c.run()).verb == Verb::forget);
    c.observed.clear();
    CHECK(c.run().changes.empty());
}

TEST_CASE("what is ours on the host but neither wanted nor recorded is not touched") {
    const Case c{{}, state({{"link/br0", ours(bridge())}}), {}, {}, {}};
    CHECK(c.run().changes.empty());
}

TEST_CASE("a borrowed thing that left the stack gets back the fields that still have our value") {
    model::Link port = nic();
    port.master = "br0";
    port.mtu = 9000;
    model::Link seen = port;
    seen.mtu = 1400;
    const Case c{{}, state({{"link/enp1", foreign(seen)}}), state({{"link/enp1", borrowed(port)}}), {}, {}};
    const auto output = c.run();
    CHECK(only(output).verb == Verb::forget);
    REQUIRE(only(output).fields.size() == 1);
    CHECK(only(output).fields[0].name == "master");
    CHECK_FALSE(only(output).fields[0].to);
}

TEST_CASE("an interface that left the stack stays up: it may be the one the host is reached by") {
    const Case c{{}, state({{"link/enp1", foreign(nic())}}), state({{"link/enp1", borrowed(nic())}}), {}, {}};
    CHECK(only(c.run()).fields.empty());
}

TEST_CASE("a sysctl that another stack wants as well is not reset when one of them leaves it") {
    const model::Sysctl on{.value = "1"};
    const Case c{{},
                 state({{"sysctl/net.ipv4.ip_forward", foreign(on)}}),
                 state({{"sysctl/net.ipv4.ip_forward", borrowed(on)}}),
                 state({{"sysctl/net.ipv4.ip_forward", borrowed(on)}}),
                 {}};
    CHECK(only(c.run()).verb == Verb::forget);
    CHECK(only(c.run()).fields.empty());
}

TEST_CASE("a parent that the stack does not declare has to be on the host: the error stands where the manifest names it") {
    model::Link link = bridge();
    link.type = model::LinkType::macvlan;
    link.parent = "enp9";
    Case c{state({{"link/mv0", wanted(link, {{id("link/enp9"), Bond::order}, {id("link/enp9"), Bond::rebuild}})}}),
           {},
           {},
           {},
           {}};
    const auto file = std::make_shared<const std::string>("stack.yaml");
    c.desired.begin()->second.where = {file, 3, 5};
    c.desired.begin()->second.places["parent"] = {file, 7, 13};
    const auto output = c.run();
    CHECK(fault(output, "missing-host-object").where.str() == "stack.yaml:7:13");
    CHECK(fault(output, "missing-host-object").message == "interface \"enp9\" is not on this host");
    c.observed = state({{"link/enp9", foreign(nic())}});
    CHECK(only(c.run()).verb == Verb::create);
}

TEST_CASE("what an interrupted run left half-made is completed, or made anew if it is another thing") {
    Case c{state({{"link/br0", wanted(bridge())}}), state({{"link/br0", foreign(bridge())}}), {}, {}, {}};
    c.observed.begin()->second.mark = model::Mark::begun;
    CHECK(only(c.run()).verb == Verb::create);
    CHECK(only(c.run()).reason == "half-made by an interrupted run");
    c.observed.begin()->second.object = macvlan("eth7");
    CHECK(only(c.run()).verb == Verb::replace);
}

TEST_CASE("a thing that goes from one resource of the stack to another is taken over") {
    Case c{state({{"link/br0", wanted(bridge())}}), state({{"link/br0", ours(bridge())}}), {}, {}, {}};
    c.observed.begin()->second.owner.name = "other";
    CHECK(only(c.run()).verb == Verb::adopt);
    CHECK(only(c.run()).reason == "belongs to Network/net now, was Network/other's");
}

TEST_CASE("prevent_destroy refuses deletion and replacement, whether it is recorded or wanted") {
    Case c{{}, state({{"link/br0", ours(bridge())}}), state({{"link/br0", wanted(bridge())}}), {}, {}};
    c.recorded.begin()->second.lifecycle.prevent_destroy = true;
    static_cast<void>(fault(c.run(), "prevent-destroy"));
    c.desired = state({{"link/br0", wanted(macvlan("eth7"))}});
    static_cast<void>(fault(c.run(), "prevent-destroy"));
    CHECK(c.run().changes.empty());
    c.recorded.begin()->second.lifecycle.prevent_destroy = false;
    CHECK(only(c.run()).verb == Verb::replace);
}

TEST_CASE("a field that can't change is an error that says how to go about it") {
    model::Pool pool;
    pool.driver = "dir";
    pool.source = "/a";
    model::Pool elsewhere = pool;
    elsewhere.source = "/b";
    const Case c{state({{"pool/p", wanted(elsewhere)}}), state({{"pool/p", ours(pool)}}), {}, {}, {}};
    const auto output = c.run();
    CHECK(output.changes.empty());
    CHECK(fault(output, "fixed").message == "source of pool/p can't change from \"/a\" to \"/b\"");
    CHECK_FALSE(fault(output, "fixed").hint.empty());
}

TEST_CASE("an image isn't made anew only because its fingerprint is no longer declared") {
    model::Image plain;
    plain.type = "busybox";
    model::Image pinned = plain;
    pinned.fingerprint = std::string(64, 'a');
    const Case c{state({{"image/b", wanted(plain)}}),
                 state({{"image/b", ours(pinned)}}),
                 state({{"image/b", wanted(pinned)}}),
                 {},
                 {}};
    CHECK(c.run().changes.empty());
}

TEST_CASE("a macvlan enters and leaves passthru mode by being made anew, other modes change live") {
    model::Link vepa = macvlan("eth7");
    vepa.mode = "vepa";
    model::Link passthru = macvlan("eth7");
    passthru.mode = "passthru";
    Case c{state({{"link/m", wanted(vepa)}}), state({{"link/m", ours(macvlan("eth7"))}}), {}, {}, {}};
    CHECK(only(c.run()).verb == Verb::update);
    c.desired = state({{"link/m", wanted(passthru)}});
    CHECK(only(c.run()).verb == Verb::replace);
    c.observed = c.desired;
    c.observed.begin()->second.mark = model::Mark::complete;
    c.desired = state({{"link/m", wanted(vepa)}});
    CHECK(only(c.run()).verb == Verb::replace);
}

TEST_CASE("a running container restarts, defers or refuses as its policy says, and the run's word goes first") {
    Case c{state({{"container/web", with_policy(wanted(with_environment("2")), OnRestartNeeded::restart)}}),
           state({{"container/web", ours(with_environment("1"))}}),
           {},
           {},
           {}};
    CHECK(only(c.run()).effect == Effect::restart);
    CHECK_FALSE(only(c.run()).deferred);
    c.policy = OnRestartNeeded::defer;
    CHECK(only(c.run()).deferred);
    CHECK(only(c.run()).effect == Effect::live);
    CHECK(only(c.run()).reason == "environment changed; pending restart");
    c.policy = OnRestartNeeded::never;
    static_cast<void>(fault(c.run(), "restart-needed"));
    CHECK(c.run().changes.empty());
    c.policy.reset();
    c.desired.begin()->second.lifecycle.on_restart_needed = OnRestartNeeded::never;
    static_cast<void>(fault(c.run(), "restart-needed"));
}

TEST_CASE("a container that is stopped, or shall stop, changes without a restart") {
    Case c{state({{"container/web", with_policy(wanted(with_environment("2")), OnRestartNeeded::never)}}),
           state({{"container/web", ours(with_environment("1", ContainerState::stopped))}}),
           {},
           {},
           {}};
    CHECK(only(c.run()).effect == Effect::live);
    c.desired = state({{"container/web", wanted(with_environment("2", ContainerState::stopped))}});
    c.observed = state({{"container/web", ours(with_environment("1"))}});
    CHECK(only(c.run()).effect == Effect::live);
}
