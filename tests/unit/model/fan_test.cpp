#include "model/fan.h"

#include <doctest/doctest.h>

#include <algorithm>

#include <fmt/format.h>

#include "stacks.h"

// A fan: what follows from a host's address in the underlay, and what is refused.

using namespace ctl;
using namespace ctl::model;
using namespace ctl::testing;

namespace {

std::string fan(const std::string& config, const std::string& more = "") {
    return "networks:\n- {name: fan0, config: {bridge.mode: fan" + config + "}}\n" + more;
}

const std::string subnets = ", fan.overlay_subnet: 10.0.0.0/8, fan.underlay_subnet: 172.21.0.0/16";

HostLayout host_with(const std::string& address) {
    return {.state_dir = "/state", .run_dir = "/run/ctl", .working_dir = "/stacks", .addresses = {*Cidr::parse(address)}};
}

Lowered fan_on(const std::string& address, const std::string& config = subnets) {
    return lowered(fan(config), {}, {}, host_with(address));
}

bool contains(const std::vector<std::string>& all, std::string_view one) {
    return std::find(all.begin(), all.end(), one) != all.end();
}

}  // namespace

TEST_CASE("each host owns the part of the overlay that its address names, and each address names its host") {
    const Fan three{*Cidr::parse("10.0.0.0/8"), *Cidr::parse("172.21.0.0/16"), *IpAddress::parse("172.21.3.15")};
    CHECK(three.part_of(three.host).str() == "10.3.15.0/24");
    CHECK(three.owner_of(*IpAddress::parse("10.5.20.77")).str() == "172.21.5.20");
    const Fan wide{*Cidr::parse("240.0.0.0/8"), *Cidr::parse("10.9.0.0/20"), *IpAddress::parse("10.9.3.4")};
    CHECK(wide.part_of(wide.host).str() == "240.48.64.0/20");
    CHECK(wide.owner_of(*IpAddress::parse("240.48.79.255")).str() == "10.9.3.4");
    CHECK(fits(three.overlay, three.underlay));
    CHECK_FALSE(fits(*Cidr::parse("10.0.0.0/24"), *Cidr::parse("172.21.0.0/16")));
}

TEST_CASE("a fan is a bridge of Open vSwitch with the first address of its host's part and a tunnel to all others") {
    const auto result = fan_on("172.21.3.15/16");
    CHECK(result.diagnostics.all().empty());
    CHECK(object<OvsBridge>(result, "fan0").mtu == fan_mtu);
    CHECK(object<Link>(result, "fan0").addresses == std::set{*Cidr::parse("10.3.15.1/8")});
    const auto& tunnel = object<OvsPort>(result, "fan0-fan");
    CHECK(tunnel.type == "vxlan");
    CHECK(tunnel.options->at("remote_ip") == "flow");
    CHECK(tunnel.options->at("local_ip") == "172.21.3.15");
    CHECK(tunnel.trunks == std::vector<std::string>{"4095"});
    const auto& service = object<DnsService>(result, "fan0");
    CHECK(std::any_of(service.options->begin(), service.options->end(),
                      [](const std::string& option) { return option.find("10.3.15.2,10.3.15.254") != std::string::npos; }));
    CHECK(result.desired.contains({ObjectKind::nft_table, "ctl_fan0"}));
}

TEST_CASE("a fan's flows find the host in the address, for packets and for questions after neighbours") {
    const auto result = fan_on("172.21.3.15/16");
    const auto& flows = *object<OvsFlows>(result, "fan0").flows;
    for (const std::string_view flow :
         {"priority=1 actions=resubmit(,10)", "table=10,priority=30,ip,nw_dst=10.3.15.0/24 actions=NORMAL",
          "table=10,priority=20,ip,nw_dst=10.0.0.0/8 "
          "actions=load:0xac150000->NXM_NX_TUN_IPV4_DST[],move:NXM_OF_IP_DST[8..23]->NXM_NX_TUN_IPV4_DST[0..15],"
          "output:\"fan0-fan\"",
          "table=10,priority=20,arp,arp_tpa=10.0.0.0/8 "
          "actions=load:0xac150000->NXM_NX_TUN_IPV4_DST[],move:NXM_OF_ARP_TPA[8..23]->NXM_NX_TUN_IPV4_DST[0..15],"
          "output:\"fan0-fan\"",
          "table=10,priority=49,in_port=\"fan0-fan\" actions=drop"})
        CHECK_MESSAGE(contains(flows, flow), flow);
    CHECK(has_need(result, {ObjectKind::ovs_flows, "fan0"}, {{ObjectKind::ovs_port, "fan0-fan"}, Bond::reapply}));
}

TEST_CASE("the underlay is where the host has an address, or where a network declared beside it has one") {
    CHECK(lowered(fan(", fan.overlay_subnet: 10.0.0.0/8"), {}, {}, host_with("172.21.3.15/16")).asks_for_addresses);
    HostLayout out = host_with("172.21.3.15/16");
    out.uplink_addresses = out.addresses;
    const auto automatic = lowered(fan(", fan.overlay_subnet: 10.0.0.0/8"), {}, {}, out);
    CHECK(object<Link>(automatic, "fan0").addresses == std::set{*Cidr::parse("10.3.15.1/8")});
    const std::string wan = "- {name: wan, config: {bridge.driver: openvswitch, ipv4.address: 172.21.5.20/16}}\n";
    const auto declared = lowered(fan(subnets, wan), {}, {}, host_with("192.0.2.1/24"));
    CHECK(object<Link>(declared, "fan0").addresses == std::set{*Cidr::parse("10.5.20.1/8")});

    const auto nowhere = fan_on("192.0.2.1/24");
    CHECK(nowhere.asks_for_addresses);
    REQUIRE(nowhere.diagnostics.has_errors());
    CHECK(nowhere.diagnostics.all().front().rule == "fan-without-host");
}

TEST_CASE("fans that could not work are faults") {
    CHECK(faults(fan(subnets)).empty());
    CHECK(faults(fan("")).empty());
    CHECK(faults(fan(", ipv6.address: none, ipv4.nat: true, bridge.mtu: 1400")).empty());
    CHECK(faults("networks:\n- {name: muchtoolongname, config: {bridge.mode: fan}}\n") == "2:fan-name");
    CHECK(faults(fan(", bridge.driver: native")) == "2:fan-driver");
    CHECK(faults(fan(", ipv4.address: 10.0.0.1/24")) == "2:fan-key");
    CHECK(faults(fan(", bridge.mtu: 1500")) == "2:fan-mtu");
    CHECK(faults(fan(", fan.overlay_subnet: 10.0.0.0/8, fan.underlay_subnet: 10.9.0.0/16")) == "2:fan-subnets");
    CHECK(faults(fan(", fan.overlay_subnet: 10.0.0.0/16, fan.underlay_subnet: 172.21.0.0/16")) == "2:fan-subnets");
    CHECK(faults(fan(subnets, "- {name: fan1, config: {bridge.mode: fan, fan.overlay_subnet: 10.128.0.0/9}}\n")) ==
          "3:subnet-overlap");
    CHECK(faults("networks:\n- {name: br0, config: {fan.overlay_subnet: 10.0.0.0/8}}\n") == "2:fan-key");
}

TEST_CASE("a container's address on a fan has to be of its host's part") {
    const auto with_nic = [](const std::string& address) {
        return lowered(fan(subnets,
                           "storage_pools: [{name: default, driver: dir}]\nimages: [{name: busybox, source: {type: "
                           "busybox}}]\ncontainers:\n- {name: web, image: busybox, devices: {root: {type: disk, path: /, "
                           "pool: default}, eth0: {type: nic, network: fan0, ipv4.address: " +
                               address + "}}}\n"),
                       {}, {}, host_with("172.21.3.15/16"));
    };
    CHECK(!with_nic("10.3.15.7").diagnostics.has_errors());
    REQUIRE(with_nic("10.4.15.7").diagnostics.has_errors());
    CHECK(with_nic("10.4.15.7").diagnostics.all().front().rule == "fan-address");
}
