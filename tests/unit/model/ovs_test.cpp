#include <doctest/doctest.h>

#include <algorithm>

#include "model/open_vswitch.h"
#include "stacks.h"

// Networks of Open vSwitch: what they become, and what is refused.

using namespace ctl;
using namespace ctl::model;
using namespace ctl::testing;

namespace {

std::string network(const std::string& config) {
    return "networks:\n- {name: ovs0, config: {bridge.driver: openvswitch, " + config + "}}\n";
}

/// A container with one NIC on a network of Open vSwitch, and another on a VLAN of it.
std::string nic(const std::string& keys, const std::string& parent = "ovs0") {
    return "storage_pools: [{name: default, driver: dir}]\nimages: [{name: busybox, source: {type: busybox}}]\n"
           "networks:\n"
           "- {name: ovs0, config: {bridge.driver: openvswitch, ipv4.address: none, ipv6.address: none}}\n"
           "- {name: vlan7, config: {bridge.driver: openvswitch, parent: ovs0, vlan: 7, ipv4.address: none, ipv6.address: "
           "none}}\n"
           "- {name: br0, config: {ipv4.address: none, ipv6.address: none}}\n"
           "containers:\n- name: web\n  image: busybox\n  devices:\n    root: {type: disk, path: /, pool: default}\n"
           "    eth0: {type: nic, nictype: bridged, host_name: web0, parent: " +
           parent + keys + "}\n";
}

OvsPort port_with(const std::string& keys, const std::string& parent = "ovs0") {
    return object<OvsPort>(lowered(nic(keys, parent)), "web0");
}

}  // namespace

TEST_CASE("a network of Open vSwitch is a bridge in its database, with a link that comes with it") {
    const auto result = lowered(network(
        "ipv4.address: 10.0.3.1/24, ipv6.address: none, openvswitch.controllers: 'tcp:10.0.0.6:6653, tcp:10.0.0.5:6653', "
        "openvswitch.fail_mode: secure, bridge.mtu: 1450"));
    const auto& bridge = object<OvsBridge>(result, "ovs0");
    CHECK(bridge.controllers == std::vector<std::string>{"tcp:10.0.0.5:6653", "tcp:10.0.0.6:6653"});
    CHECK(bridge.fail_mode == "secure");
    CHECK(bridge.mtu == 1450);
    CHECK(bridge.mac.has_value());
    CHECK(bridge.datapath == "system");
    const ObjectId link{ObjectKind::link, "ovs0"};
    CHECK(result.desired.at(link).borrowed);
    CHECK(object<Link>(result, "ovs0").addresses == std::set{*Cidr::parse("10.0.3.1/24")});
    CHECK(!object<Link>(result, "ovs0").type);
    CHECK(!object<Link>(result, "ovs0").mtu);
    CHECK(has_need(result, link, {{ObjectKind::ovs_bridge, "ovs0"}, Bond::reapply}));
    const ObjectId forwarding{ObjectKind::sysctl, "net.ipv4.conf.ovs0.forwarding"};
    CHECK(has_need(result, forwarding, {{ObjectKind::ovs_bridge, "ovs0"}, Bond::reapply}));
}

TEST_CASE("interfaces of the host become ports, and stay the host's") {
    const auto result = lowered(network("ipv4.address: none, bridge.external_interfaces: 'eth1, eth2'"));
    for (const std::string name : {"eth1", "eth2"}) {
        CHECK(object<OvsPort>(result, name).bridge == "ovs0");
        CHECK(object<OvsPort>(result, name).type == "system");
        CHECK(result.desired.at({ObjectKind::link, name}).borrowed);
        CHECK(!object<Link>(result, name).master);
        CHECK(has_need(result, {ObjectKind::ovs_port, name}, {{ObjectKind::ovs_bridge, "ovs0"}, Bond::rebuild}));
    }
}

TEST_CASE("a network with parent and vlan is a fake bridge: an internal port with a tag and a link of its name") {
    const auto result = lowered(
        "networks:\n- {name: ovs0, config: {bridge.driver: openvswitch, ipv4.address: none}}\n"
        "- {name: vlan409, config: {bridge.driver: openvswitch, parent: ovs0, vlan: 409, ipv4.address: 10.4.9.1/24}}\n");
    const auto& port = object<OvsPort>(result, "vlan409");
    CHECK(port.bridge == "ovs0");
    CHECK(port.type == "internal");
    CHECK(port.fake_bridge == true);
    CHECK(port.tag == 409);
    CHECK_MESSAGE(port.mac.has_value(), "its neighbours lose it when a port comes or goes");
    CHECK(result.desired.at({ObjectKind::link, "vlan409"}).borrowed);
    CHECK(has_need(result, {ObjectKind::link, "vlan409"}, {{ObjectKind::ovs_port, "vlan409"}, Bond::reapply}));
    CHECK(!result.desired.contains({ObjectKind::ovs_bridge, "vlan409"}));
}

TEST_CASE("a NIC's host end is a port of the switch, goes and comes with its link, and the container waits for it") {
    const auto result = lowered(nic(""));
    const ObjectId port{ObjectKind::ovs_port, "web0"};
    CHECK(object<OvsPort>(result, "web0").bridge == "ovs0");
    CHECK(!object<OvsPort>(result, "web0").tag);
    CHECK(!object<Link>(result, "web0").master);
    CHECK(has_need(result, port, {{ObjectKind::link, "web0"}, Bond::rebuild}));
    CHECK(has_need(result, port, {{ObjectKind::ovs_bridge, "ovs0"}, Bond::rebuild}));
    CHECK(has_need(result, {ObjectKind::container, "web"}, {port, Bond::order}));
}

TEST_CASE("on a datapath in user space, chosen once or declared, NICs fill in their checksums themselves") {
    const HostLayout layout{.state_dir = "/state", .run_dir = "/run/ctl", .working_dir = "/stacks", .has_ovs_datapath = false};
    CHECK(!object<Link>(lowered(nic("")), "web:eth0").tx_checksum);
    const auto chosen = lowered(nic("", "vlan7"), {}, {}, layout);
    CHECK(object<OvsBridge>(chosen, "ovs0").datapath == "netdev");
    CHECK(object<Link>(chosen, "web:eth0").tx_checksum == false);
    CHECK(!object<Link>(chosen, "web0").tx_checksum);
    CHECK(chosen.allocations.at("datapath/ovs0") == "netdev");
    CHECK(!chosen.allocations.contains("datapath/vlan7"));
    // The kernel learns to do it: the bridge stays what it is.
    CHECK(object<OvsBridge>(lowered(nic(""), chosen.allocations), "ovs0").datapath == "netdev");
    const auto declared = lowered(network("ipv4.address: none, openvswitch.datapath: system"), {}, {}, layout);
    CHECK(object<OvsBridge>(declared, "ovs0").datapath == "system");
    CHECK(!declared.allocations.contains("datapath/ovs0"));
}

TEST_CASE("a NIC's VLANs become tag, trunks and mode of its port") {
    const OvsPort access = port_with(", vlan: 20");
    CHECK(access.tag == 20);
    CHECK(access.vlan_mode == "access");
    CHECK(!access.trunks);
    const OvsPort native = port_with(", vlan: 20, vlan.tagged: '100,10-12'");
    CHECK(native.tag == 20);
    CHECK(native.vlan_mode == "native-untagged");
    CHECK(native.trunks == std::vector<std::string>{"10", "11", "12", "100"});
    const OvsPort tagged = port_with(", vlan.tagged: 30");
    CHECK(!tagged.tag);
    CHECK(tagged.vlan_mode == "native-untagged");
    const OvsPort trunk = port_with(", vlan: none, vlan.tagged: 30");
    CHECK(!trunk.tag);
    CHECK(trunk.vlan_mode == "trunk");
    const OvsPort fake = port_with("", "vlan7");
    CHECK(fake.bridge == "ovs0");
    CHECK(fake.tag == 7);
}

TEST_CASE("tunnels are ports with their ends, and lower the network's MTU") {
    const auto result = lowered(network(
        "ipv4.address: none, tunnel.a.protocol: gre, tunnel.a.local: 192.0.2.1, tunnel.a.remote: 192.0.2.2, "
        "tunnel.b.protocol: vxlan, tunnel.b.local: 192.0.2.1, tunnel.b.remote: 192.0.2.3, tunnel.b.id: 7, tunnel.b.ttl: 9, "
        "tunnel.c.protocol: vxlan, tunnel.c.interface: eth1"));
    using Options = std::map<std::string, std::string>;
    CHECK(object<OvsPort>(result, "ovs0-a").type == "gre");
    CHECK(object<OvsPort>(result, "ovs0-a").options == Options{{"local_ip", "192.0.2.1"}, {"remote_ip", "192.0.2.2"}});
    CHECK(object<OvsPort>(result, "ovs0-b").type == "vxlan");
    CHECK(object<OvsPort>(result, "ovs0-b").options ==
          Options{{"local_ip", "192.0.2.1"}, {"remote_ip", "192.0.2.3"}, {"key", "7"}, {"dst_port", "8472"}, {"ttl", "9"}});
    // The switch has no multicast; the kernel's interface is a port of it.
    CHECK(object<OvsPort>(result, "ovs0-c").type == "system");
    CHECK(object<Link>(result, "ovs0-c").remote == "239.0.0.1");
    CHECK(object<Link>(result, "ovs0-c").parent == "eth1");
    CHECK(object<Link>(result, "ovs0-c").vni == 1);
    CHECK(object<OvsBridge>(result, "ovs0").mtu == 1400);
}

TEST_CASE("VLANs that can't be are faults of the NIC") {
    CHECK(faults(nic(", vlan: 4095")) == "12:bad-value");
    CHECK(faults(nic(", vlan.tagged: 4095")) == "12:bad-vlan");
    CHECK(faults(nic(", vlan.tagged: 30-20")) == "12:bad-vlan");
    CHECK(faults(nic(", vlan.tagged: '10,10'")) == "12:bad-vlan");
    CHECK(faults(nic(", vlan: none")) == "12:vlan-none");
    CHECK(faults(nic(", vlan: 10, vlan.tagged: 5-15")) == "12:vlan-twice");
    CHECK(faults(nic(", vlan: 10", "vlan7")) == "12:vlan-on-fake-bridge");
    CHECK(faults(nic(", vlan: 10", "br0")) == "12:unsupported");
    CHECK(faults(nic(", vlan: 10", "eth9")) == "12:unsupported");
    CHECK(faults(nic(", vlan: 0")).empty());
}

TEST_CASE("keys of Open vSwitch are for its bridges, and a VLAN of another bridge leaves it the bridge's keys") {
    CHECK(faults("networks:\n- {name: br0, config: {vlan: 7}}") == "2:ovs-key");
    CHECK(faults("networks:\n- {name: br0, config: {openvswitch.fail_mode: secure}}") == "2:ovs-key");
    CHECK(faults(network("vlan: 7")) == "2:fake-bridge");
    CHECK(faults(network("parent: ovs1")) == "2:fake-bridge");
    CHECK(faults(network("parent: ovs1, vlan: 7")).empty());
    CHECK(faults(network("parent: ovs1, vlan: none")) == "2:bad-vlan");
    CHECK(faults(network("parent: ovs1, vlan: 7, bridge.external_interfaces: eth1")) == "2:ovs-key");
    CHECK(faults(network("openvswitch.controllers: 10.0.0.5")) == "2:bad-controller");
    CHECK(faults(network("openvswitch.fail_mode: maybe")) == "2:bad-value");
    const std::string two =
        network("ipv4.address: none") + "- {name: aa, config: {bridge.driver: openvswitch, parent: ovs0, vlan: 7}}\n";
    CHECK(faults(two + "- {name: bb, config: {bridge.driver: openvswitch, parent: ovs0, vlan: 7}}\n") == "4:fake-bridge");
    CHECK(faults(two + "- {name: bb, config: {bridge.driver: openvswitch, parent: aa, vlan: 8}}\n") == "4:fake-bridge");
    CHECK(faults(two + "- {name: nn}\n- {name: bb, config: {bridge.driver: openvswitch, parent: nn, vlan: 8}}\n") ==
          "5:fake-bridge");
}

TEST_CASE("a tunnel that could not work is a fault, where others skip it") {
    const auto tunnel = [](const std::string& keys) { return faults(network("ipv4.address: none, " + keys)); };
    CHECK(tunnel("tunnel.a.protocol: gre") == "2:tunnel-ends");
    CHECK(tunnel("tunnel.a.protocol: gre, tunnel.a.local: 192.0.2.1") == "2:tunnel-ends");
    CHECK(tunnel("tunnel.a.local: 192.0.2.1, tunnel.a.remote: 192.0.2.2") == "2:missing-protocol");
    CHECK(tunnel("tunnel.a.protocol: vxlan") == "2:tunnel-ends");
    CHECK(tunnel("tunnel.a.protocol: vxlan, tunnel.a.remote: 192.0.2.1") == "2:tunnel-ends");
    CHECK(tunnel("tunnel.a.protocol: vxlan, tunnel.a.local: 192.0.2.1, tunnel.a.remote: 'fd42::1'") == "2:tunnel-ends");
    CHECK(tunnel("tunnel.a.protocol: vxlan, tunnel.a.interface: eth1, tunnel.a.group: 10.0.0.1") == "2:tunnel-ends");
    CHECK(tunnel("tunnel.a.protocol: vxlan, tunnel.a.interface: eth1, tunnel.a.id: 16777216") == "2:bad-value");
    CHECK(tunnel("tunnel.averylongone.protocol: vxlan, tunnel.averylongone.interface: eth1") == "2:tunnel-name");
    CHECK(tunnel("tunnel.a.protocol: vxlan, tunnel.a.interface: eth1, tunnel.b.protocol: vxlan, tunnel.b.interface: eth1") ==
          "2:tunnel-twice");
    CHECK(faults("networks:\n- {name: br0, config: {tunnel.a.protocol: gre, tunnel.a.local: 'fd42::1', tunnel.a.remote: "
                 "'fd42::2'}}") == "2:tunnel-ends");
}

TEST_CASE("lists of VLANs are read with their ranges") {
    CHECK(parse_vlans("10,20-22, 5") == std::vector<std::int64_t>{5, 10, 20, 21, 22});
    for (const std::string bad : {"", "x", "1-", "-1", "4095", "5-4", "1,1", "1,0-3"}) CHECK_MESSAGE(!parse_vlans(bad), bad);
}
