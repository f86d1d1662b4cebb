#include "cli/topology.h"

#include <doctest/doctest.h>

#include "objects.h"

using namespace ctl;
using namespace ctl::test;
using cli::topology_of;

namespace {

model::HostState lan_bridge() {
    return {{id("link/enp1"), borrowed(with_master(nic(), "lanbr"))},
            {id("link/lanbr"), wanted(with_addresses(bridge(), {"10.0.0.1/24"}))},
            {id("link/veth1"), wanted(with_master(veth("web:eth0"), "lanbr"))},
            {id("link/web:eth0"), wanted(with_addresses(veth("veth1"), {"10.0.0.2/24"}))},
            {id("container/web"), wanted(container())}};
}

}  // namespace

TEST_CASE("a bridge is drawn with its physical port and its container below it") {
    CHECK(to_text(topology_of(lan_bridge())) ==
          "lanbr  network, bridge, 10.0.0.1/24\n"
          "├─ enp1  interface\n"
          "└─ web  container, running, eth0 by veth1, 10.0.0.2/24\n");
}

TEST_CASE("a container's macvlan hangs on the interface it is made on, declared or not") {
    const model::HostState state{{id("link/web:eth0"), wanted(with_addresses(macvlan("ens33"), {"10.0.3.2/24"}))},
                                 {id("container/web"), wanted(model::Container{})}};
    CHECK(to_text(topology_of(state)) ==
          "ens33  interface\n"
          "└─ web  container, eth0, 10.0.3.2/24\n");
}

TEST_CASE("ports, VLANs, fake bridges and tunnels of Open vSwitch are drawn by their bridge") {
    model::OvsPort tunnel = ovs_port("ovs0");
    tunnel.type = "vxlan";
    tunnel.options = std::map<std::string, std::string>{{"remote_ip", "10.9.9.9"}};
    const model::HostState state{{id("ovs_bridge/ovs0"), wanted(model::OvsBridge{})},
                                 {id("link/ovs0"), wanted(with_addresses(model::Link{}, {"10.1.0.1/24"}))},
                                 {id("ovs_port/vlan409"), wanted(fake_bridge("ovs0", 409))},
                                 {id("ovs_port/ovs0-far"), wanted(tunnel)},
                                 {id("ovs_port/veth1"), wanted(ovs_port("ovs0", 5))},
                                 {id("link/veth1"), wanted(veth("web:eth0"))},
                                 {id("link/web:eth0"), wanted(veth("veth1"))},
                                 {id("container/web"), wanted(model::Container{})}};
    CHECK(to_text(topology_of(state)) ==
          "ovs0  network, Open vSwitch bridge, 10.1.0.1/24\n"
          "├─ ovs0-far  tunnel, vxlan, to 10.9.9.9\n"
          "├─ vlan409  network, Open vSwitch fake bridge, vlan 409\n"
          "└─ web  container, eth0 by veth1, vlan 5\n");
}

TEST_CASE("a container with two networks stands below each, and one without any stands alone") {
    auto state = lan_bridge();
    state.emplace(id("link/web:eth1"), wanted(macvlan("enp2")));
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
    const model::HostState state{{id("link/a"), wanted(macvlan("b"))}, {id("link/b"), wanted(macvlan("a"))}};
    CHECK(to_text(topology_of(state)).empty());
    CHECK(to_svg(topology_of(state)).ends_with("</svg>\n"));
}

TEST_CASE("names can't break out of DOT's strings nor of SVG's text") {
    const model::HostState state{{id("link/a\"b<c&\n"), wanted(bridge())}};
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
