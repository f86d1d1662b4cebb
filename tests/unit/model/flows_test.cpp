#include <doctest/doctest.h>

#include <algorithm>

#include <fmt/format.h>

#include "model/flow_text.h"
#include "stacks.h"

// What keeps NICs on bridges of Open vSwitch to their own addresses.

using namespace ctl;
using namespace ctl::model;
using namespace ctl::testing;

namespace {

std::string stack(const std::string& keys, const std::string& network = "ovs0") {
    return "storage_pools: [{name: default, driver: dir}]\nimages: [{name: busybox, source: {type: busybox}}]\n"
           "profiles: [{name: default, devices: {root: {type: disk, path: /, pool: default}}}]\n"
           "networks:\n"
           "- {name: ovs0, config: {bridge.driver: openvswitch, ipv4.address: 10.28.0.1/24, ipv6.address: 'fd42::1/64'}}\n"
           "- {name: vlan7, config: {bridge.driver: openvswitch, parent: ovs0, vlan: 7, ipv4.address: 10.29.0.1/24}}\n"
           "containers:\n- {name: web, image: busybox, devices: {eth0: {type: nic, host_name: web0, hwaddr: "
           "'00:16:3E:00:00:0a', network: " +
           network + ", " + keys + "}}}\n";
}

std::vector<std::string> flows(const std::string& keys, const std::string& network = "ovs0") {
    return *object<OvsFlows>(lowered(stack(keys, network)), network).flows;
}

bool contains(const std::vector<std::string>& all, std::string_view one) {
    return std::find(all.begin(), all.end(), one) != all.end();
}

}  // namespace

TEST_CASE("a port's name is quoted where it is more than letters and digits") {
    CHECK(flow::port("web0") == "web0");
    CHECK(flow::port("web-0") == "\"web-0\"");
    CHECK(flow::port("0web") == "\"0web\"");
}

TEST_CASE("a NIC whose MAC is filtered sends frames, ARP and neighbour discovery with its own only") {
    const std::vector<std::string> expected{
        "priority=100,in_port=web0 actions=drop",
        "priority=101,in_port=web0,dl_src=00:16:3e:00:00:0a actions=NORMAL",
        "priority=102,arp,in_port=web0 actions=drop",
        "priority=103,arp,in_port=web0,dl_src=00:16:3e:00:00:0a,arp_sha=00:16:3e:00:00:0a actions=NORMAL",
        "priority=104,icmp6,in_port=web0,icmp_type=135 actions=drop",
        "priority=104,icmp6,in_port=web0,icmp_type=136 actions=drop",
        "priority=105,icmp6,in_port=web0,dl_src=00:16:3e:00:00:0a,icmp_type=135,icmp_code=0,"
        "nd_sll=00:00:00:00:00:00 actions=NORMAL",
        "priority=105,icmp6,in_port=web0,dl_src=00:16:3e:00:00:0a,icmp_type=135,icmp_code=0,"
        "nd_sll=00:16:3e:00:00:0a actions=NORMAL",
        "priority=105,icmp6,in_port=web0,dl_src=00:16:3e:00:00:0a,ipv6_src=::,icmp_type=135,icmp_code=0,"
        "nd_sll=00:00:00:00:00:00 actions=NORMAL",
        "priority=105,icmp6,in_port=web0,dl_src=00:16:3e:00:00:0a,icmp_type=136,icmp_code=0,"
        "nd_tll=00:00:00:00:00:00 actions=NORMAL",
        "priority=105,icmp6,in_port=web0,dl_src=00:16:3e:00:00:0a,icmp_type=136,icmp_code=0,"
        "nd_tll=00:16:3e:00:00:0a actions=NORMAL"};
    const auto all = flows("security.mac_filtering: true");
    CHECK(all.size() == expected.size());
    for (const auto& flow : all) CHECK_MESSAGE(contains(expected, flow), flow);
}

TEST_CASE("a NIC whose addresses are filtered sends from them, asks for a lease, and speaks nothing else") {
    const auto all = flows(
        "ipv4.address: 10.28.0.5, ipv6.address: 'fd42::5', security.ipv4_filtering: true, security.ipv6_filtering: true");
    for (const std::string_view flow :
         {"priority=100,in_port=web0 actions=drop", "priority=106,in_port=web0,vlan_tci=0x1000/0x1000 actions=drop",
          "priority=103,arp,in_port=web0,arp_spa=10.28.0.5 actions=NORMAL",
          "priority=103,arp,in_port=web0,arp_spa=0.0.0.0 actions=NORMAL",
          "priority=103,ip,in_port=web0,nw_src=10.28.0.5 actions=NORMAL",
          "priority=103,udp,in_port=web0,nw_src=0.0.0.0,nw_dst=255.255.255.255,tp_dst=67 actions=NORMAL",
          "priority=103,ipv6,in_port=web0,ipv6_src=fd42::5 actions=NORMAL",
          "priority=103,ipv6,in_port=web0,ipv6_src=fe80::216:3eff:fe00:a actions=NORMAL",
          "priority=104,icmp6,in_port=web0,icmp_type=134 actions=drop",
          "priority=105,icmp6,in_port=web0,ipv6_src=fd42::5,icmp_type=136,icmp_code=0,nd_target=fd42::5 actions=NORMAL"})
        CHECK_MESSAGE(contains(all, flow), flow);
    CHECK(std::none_of(all.begin(), all.end(), [](const std::string& flow) { return flow.starts_with("priority=101"); }));
}

TEST_CASE("a filtered NIC that has no address of a family says nothing in it on a switch either") {
    const auto all = flows("ipv4.address: none, security.ipv4_filtering: true");
    CHECK(contains(all, "priority=102,arp,in_port=web0 actions=drop"));
    CHECK(contains(all, "priority=102,ip,in_port=web0 actions=drop"));
    CHECK(std::none_of(all.begin(), all.end(), [](const std::string& flow) { return flow.starts_with("priority=103"); }));
}

TEST_CASE("flows stand on the bridge and the ports, and the container waits for them") {
    const auto result = lowered(stack("security.mac_filtering: true", "vlan7"));
    const ObjectId id{ObjectKind::ovs_flows, "vlan7"};
    CHECK(object<OvsFlows>(result, "vlan7").bridge == "ovs0");
    CHECK(has_need(result, id, {{ObjectKind::ovs_bridge, "ovs0"}, Bond::rebuild}));
    CHECK(has_need(result, id, {{ObjectKind::ovs_port, "web0"}, Bond::reapply}));
    CHECK(has_need(result, id, {{ObjectKind::ovs_port, "vlan7"}, Bond::order}));
    CHECK(has_need(result, {ObjectKind::container, "web"}, {id, Bond::order}));
    CHECK(!result.desired.contains({ObjectKind::nft_table, "ctlports_vlan7"}));
    CHECK(!lowered(stack("ipv4.address: 10.28.0.5")).desired.contains({ObjectKind::ovs_flows, "ovs0"}));
}

TEST_CASE("isolation is a flag of the port") {
    CHECK(object<OvsPort>(lowered(stack("security.port_isolation: true")), "web0").isolated == true);
    CHECK(!object<OvsPort>(lowered(stack("security.mac_filtering: true")), "web0").isolated);
}
