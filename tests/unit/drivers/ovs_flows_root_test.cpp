#include <poll.h>

#include <algorithm>

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "../model/stacks.h"
#include "ovs_world.h"
#include "support/wait.h"

// Flows on bridges, as lowering writes them and as ovs-ofctl knows them.

namespace ctl::drivers {
namespace {

using model::OvsFlows;
using testing::wait_until;

const ObjectId flows_id{ObjectKind::ovs_flows, "ovs-br0"};

OvsFlows flows_of(std::vector<std::string> flows) {
    std::sort(flows.begin(), flows.end());
    return {.bridge = "ovs-br0", .flows = std::move(flows)};
}

/// What ovs-ofctl shows of one bridge's flows with the cookie, or of all.
std::string dump(const World& world, const std::string& options = "") {
    return world.ovs.tool("ovs-ofctl -O OpenFlow14 --no-stats --names dump-flows unix:/run/ovs/ovs-br0.mgmt " + options +
                          " | sort");
}

void make_bridge(const World& world, const std::vector<std::string>& ports) {
    world.must_apply({change(Verb::create, bridge_id("ovs-br0"), some_bridge())});
    std::vector<Change> changes;
    for (const auto& port : ports) changes.push_back(change(Verb::create, port_id(port), port_of("ovs-br0", "internal")));
    world.must_apply(changes);
}

bool is_readable(int fd, int wait) {
    pollfd waited{fd, POLLIN, 0};
    return ::poll(&waited, 1, wait) == 1;
}

/// Containers on ovs-br0 whose NICs have these keys; their ports are called nic0, nic-1 and so on.
std::string stack(const std::string& network, const std::vector<std::string>& nics) {
    std::string yaml =
        "storage_pools: [{name: default, driver: dir}]\nimages: [{name: busybox, source: {type: busybox}}]\n"
        "profiles: [{name: default, devices: {root: {type: disk, path: /, pool: default}}}]\n"
        "networks: [{name: ovs-br0, config: {bridge.driver: openvswitch, " +
        network + "}}]\ncontainers:\n";
    for (std::size_t i = 0; i < nics.size(); ++i)
        yaml += fmt::format(
            "- {{name: c{0}, image: busybox, devices: {{eth0: {{type: nic, network: ovs-br0, host_name: {1}, {2}}}}}}}\n", i,
            i == 0 ? "nic0" : fmt::format("nic-{}", i), nics[i]);
    return yaml;
}

}  // namespace

TEST_CASE("every flow that a manifest makes is read back in the text that was asked for") {
    SKIP_WITHOUT_NAMESPACES();
    const World world;
    std::string network = "ipv4.address: 10.28.0.1/24, ipv6.address: 'fd42::1/64'";
    std::vector<std::string> nics;
    for (int bits = 1; bits < 8; ++bits)
        for (const bool has_addresses : {true, false})
            nics.push_back(
                fmt::format("ipv4.address: {}, ipv6.address: {}, security.mac_filtering: {}, security.ipv4_filtering: {}, "
                            "security.ipv6_filtering: {}",
                            has_addresses ? fmt::format("10.28.0.{}", 10 + bits) : "none",
                            has_addresses ? fmt::format("'fd42::{}'", 10 + bits) : "none", (bits & 1) != 0, (bits & 2) != 0,
                            (bits & 4) != 0));
    model::HostLayout layout{"/state", "/run/ctl", "/stacks"};
    SUBCASE("on a bridge") {}
    SUBCASE("on a fan") {
        layout.addresses = {*model::Cidr::parse("172.21.3.15/16")};
        network = "bridge.mode: fan, fan.overlay_subnet: 10.0.0.0/8, fan.underlay_subnet: 172.21.0.0/16";
        nics = {"ipv4.address: 10.3.15.9, security.mac_filtering: true, security.ipv4_filtering: true"};
    }
    const auto lowered = testing::lowered(stack(network, nics), {}, {}, layout);
    REQUIRE(lowered.diagnostics.all().empty());
    const auto wanted = std::get<OvsFlows>(lowered.desired.at(flows_id).object);
    std::vector<std::string> ports;
    for (const auto& [id, entry] : lowered.desired)
        if (id.kind == ObjectKind::ovs_port) ports.push_back(id.name);
    make_bridge(world, ports);
    CHECK(!world.see<OvsFlows>(flows_id));

    world.must_apply({change(Verb::create, flows_id, wanted)});
    const auto seen = world.observe();
    REQUIRE(seen.contains(flows_id));
    const auto& entry = seen.at(flows_id);
    CHECK(std::get<OvsFlows>(entry.object).bridge == "ovs-br0");
    const auto& flows = *std::get<OvsFlows>(entry.object).flows;
    CHECK(flows.size() == wanted.flows->size());
    for (std::size_t i = 0; i < std::min(flows.size(), wanted.flows->size()); ++i) CHECK(flows[i] == wanted.flows->at(i));
    CHECK(entry.mark == model::Mark::complete);
    CHECK(entry.owner == owner);
}

TEST_CASE("a network's flows are replaced as a whole, and those of others are left alone") {
    SKIP_WITHOUT_NAMESPACES();
    const World world;
    make_bridge(world, {"web0"});
    world.ovs.tool("ovs-ofctl add-flow unix:/run/ovs/ovs-br0.mgmt cookie=7,priority=9,udp,actions=drop");
    const std::string before = dump(world);
    world.must_apply({change(Verb::create, flows_id, flows_of({"priority=5,in_port=web0 actions=drop"}))});
    CHECK(dump(world).find("priority=5,in_port=web0 actions=drop") != std::string::npos);
    const OvsFlows other = flows_of({"priority=6,arp,in_port=web0 actions=NORMAL", "table=3,priority=0 actions=drop"});
    world.must_apply({update(flows_id, other, {"flows"})});
    CHECK(world.see<OvsFlows>(flows_id) == other);
    CHECK(dump(world).find("priority=5,") == std::string::npos);

    const std::string why = world.failure(update(flows_id, flows_of({"priority=6,arp actions=fly"}), {"flows"}));
    CHECK_MESSAGE(why.find("the bridge \"ovs-br0\" refuses a flow: priority=6,arp actions=fly") != std::string::npos, why);
    CHECK_MESSAGE(world.see<OvsFlows>(flows_id) == other, "all or nothing");

    Change removal = change(Verb::remove, flows_id);
    removal.observed.edit().object = other;
    world.must_apply({removal});
    CHECK(!world.see<OvsFlows>(flows_id));
    CHECK(dump(world) == before);
}

TEST_CASE("flows that somebody deletes are an event, and those that we change are none") {
    SKIP_WITHOUT_NAMESPACES();
    World world;
    const int fd = world.driver->events().front().fd;
    make_bridge(world, {"web0"});
    const OvsFlows flows = flows_of({"priority=5,in_port=web0 actions=drop"});
    world.must_apply({change(Verb::create, flows_id, flows)});
    static_cast<void>(world.observe());
    static_cast<void>(world.driver->drain(fd));
    world.must_apply({update(flows_id, flows_of({"priority=6,in_port=web0 actions=drop"}), {"flows"})});
    CHECK(!is_readable(fd, 200));
    // Nor is what others do to flows of their own.
    world.ovs.tool("ovs-ofctl add-flow unix:/run/ovs/ovs-br0.mgmt cookie=7,priority=9,udp,actions=drop");
    CHECK(!is_readable(fd, 200));
    SUBCASE("all flows of the bridge") { world.ovs.tool("ovs-ofctl del-flows unix:/run/ovs/ovs-br0.mgmt"); }
    SUBCASE("with ovs-vswitchd") { world.ovs.stop_switch(); }
    CHECK(is_readable(fd, 5000));
    CHECK(world.driver->drain(fd));
    if (!world.see<OvsBridge>(bridge_id("ovs-br0"))) return;
    CHECK(!world.see<OvsFlows>(flows_id));
}

TEST_CASE("flows can't be put on a bridge that isn't there, and are gone with it") {
    SKIP_WITHOUT_NAMESPACES();
    const World world;
    const std::string why = world.failure(change(Verb::create, flows_id, flows_of({"priority=5 actions=drop"})));
    CHECK_MESSAGE(why.find("there is no bridge \"ovs-br0\" in Open vSwitch") != std::string::npos, why);
    Change removal = change(Verb::remove, flows_id);
    removal.observed.edit().object = flows_of({});
    world.must_apply({removal});
}

}  // namespace ctl::drivers
