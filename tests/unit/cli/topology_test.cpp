#include "cli/topology.h"

#include <doctest/doctest.h>

#include "support/builders.h"

using namespace ctl;
using namespace ctl::test;
using cli::topology_of;

namespace {

model::HostState lan_bridge() {
    return {{id("link/enp1"), borrowed(model::Link{.master = "lanbr", .up = true})},
            {id("link/lanbr"), wanted(model::Link{.type = model::LinkType::bridge, .addresses = cidrs({"10.0.0.1/24"})})},
            {id("link/veth1"), wanted(model::Link{.type = model::LinkType::veth, .peer = "web:eth0", .master = "lanbr"})},
            {id("link/web:eth0"),
             wanted(model::Link{.type = model::LinkType::veth, .peer = "veth1", .addresses = cidrs({"10.0.0.2/24"})})},
            {id("container/web"), wanted(model::Container{.state = model::ContainerState::running})}};
}

}  // namespace

TEST_CASE("a bridge is drawn with its physical port and its container below it") {
    CHECK(to_text(topology_of(lan_bridge())) ==
          "lanbr  network, bridge, 10.0.0.1/24\n"
          "├─ enp1  interface\n"
          "└─ web  container, running, eth0 by veth1, 10.0.0.2/24\n");
}

TEST_CASE("a container's macvlan hangs on the interface it is made on, declared or not") {
    const model::HostState state{
        {id("link/web:eth0"),
         wanted(model::Link{.type = model::LinkType::macvlan, .parent = "ens33", .addresses = cidrs({"10.0.3.2/24"})})},
        {id("container/web"), wanted(model::Container{})}};
    CHECK(to_text(topology_of(state)) ==
          "ens33  interface\n"
          "└─ web  container, eth0, 10.0.3.2/24\n");
}

TEST_CASE("ports, VLANs, fake bridges and tunnels of Open vSwitch are drawn by their bridge") {
    const model::HostState state{
        {id("ovs_bridge/ovs0"), wanted(model::OvsBridge{})},
        {id("link/ovs0"), wanted(model::Link{.addresses = cidrs({"10.1.0.1/24"})})},
        {id("ovs_port/vlan409"), wanted(model::OvsPort{.bridge = "ovs0", .tag = 409, .fake_bridge = true})},
        {id("ovs_port/ovs0-far"),
         wanted(model::OvsPort{.bridge = "ovs0", .type = "vxlan", .options = {{{"remote_ip", "10.9.9.9"}}}})},
        {id("ovs_port/veth1"), wanted(model::OvsPort{.bridge = "ovs0", .tag = 5})},
        {id("link/veth1"), wanted(model::Link{.type = model::LinkType::veth, .peer = "web:eth0"})},
        {id("link/web:eth0"), wanted(model::Link{.type = model::LinkType::veth, .peer = "veth1"})},
        {id("container/web"), wanted(model::Container{})}};
    CHECK(to_text(topology_of(state)) ==
          "ovs0  network, Open vSwitch bridge, 10.1.0.1/24\n"
          "├─ ovs0-far  tunnel, vxlan, to 10.9.9.9\n"
          "├─ vlan409  network, Open vSwitch fake bridge, vlan 409\n"
          "└─ web  container, eth0 by veth1, vlan 5\n");
}

TEST_CASE("a container with two networks stands below each, and one without any stands alone") {
    auto state = lan_bridge();
    state.emplace(id("link/web:eth1"), wanted(model::Link{.type = model::LinkType::macvlan, .parent = "enp2"}));
    state.emplace(id("container/alone"), wanted(model::Container{}));
    CHECK(to_text(topology_of(state)) ==
          "enp2  interface\n"
          "└─ web  container, running, eth1\n"
          "lanbr  network, bridge, 10.0.0.1/24\n"
          "├─ enp1  interface\n"
          "└─ web  container, running, eth0 by veth1, 10.0.0.2/24\n"
          "alone  container\n");
}

TEST_CASE("links that hang on each other in a circle are drawn without end to nobody's harm") {
    const model::HostState state{{id("link/a"), wanted(model::Link{.type = model::LinkType::macvlan, .parent = "b"})},
                                 {id("link/b"), wanted(model::Link{.type = model::LinkType::macvlan, .parent = "a"})}};
    CHECK(to_text(topology_of(state)).empty());
    CHECK(to_svg(topology_of(state)).ends_with("</svg>\n"));
}

TEST_CASE("names can't break out of DOT's strings nor of SVG's text") {
    const model::HostState state{{id("link/a\"b<c&\n"), wanted(model::Link{.type = model::LinkType::bridge})}};
    const auto topology = topology_of(state);
    CHECK(to_dot(topology) ==
          "graph topology {\n  rankdir=LR;\n  n0 [shape=ellipse, label=\"a\\\"b<c&\\\\n\\nbridge\"];\n}\n");
    CHECK(to_svg(topology).find("a&quot;b&lt;c&amp;\\n</text>") != std::string::npos);
}

TEST_CASE("DOT has a node for each box and an edge for each line") {
    CHECK(to_dot(topology_of(lan_bridge())) ==
          "graph topology {\n"
          "  rankdir=LR;\n"
          "  n0 [shape=component, label=\"enp1\"];\n"
          "  n1 [shape=ellipse, label=\"lanbr\\nbridge, 10.0.0.1/24\"];\n"
          "  n2 [shape=box, label=\"web\\nrunning\"];\n"
          "  n1 -- n0 [label=\"\"];\n"
          "  n1 -- n2 [label=\"eth0 by veth1, 10.0.0.2/24\"];\n"
          "}\n");
}
