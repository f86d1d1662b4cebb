#include <doctest/doctest.h>

#include <algorithm>

#include "stacks.h"

// NICs that the host routes to, and the subnets behind NICs.

using namespace ctl;
using namespace ctl::model;
using namespace ctl::testing;

namespace {

/// A container called web with these devices, on a host with a bridge and an Open vSwitch.
Lowered lowered_nics(const std::string& devices) {
    return lowered(R"(
storage_pools: [{name: default, driver: dir}]
images: [{name: busybox, source: {type: busybox}}]
networks:
- {name: lab0, config: {ipv4.address: 10.28.0.1/24, ipv6.address: none}}
- {name: still0, config: {ipv4.address: 10.29.0.1/24, ipv4.dhcp: false, ipv6.address: none}}
- {name: ovs0, config: {bridge.driver: openvswitch, ipv4.address: none, ipv6.address: none}}
profiles: [{name: default, devices: {root: {type: disk, path: /, pool: default}}}]
containers:
- name: web
  image: busybox
  profiles: [default]
  devices:
)" + devices);
}

std::size_t count(const Lowered& result, ObjectKind kind) {
    return static_cast<std::size_t>(std::count_if(result.desired.begin(), result.desired.end(),
                                                  [&](const auto& item) { return item.first.kind == kind; }));
}

const Route& route(const Lowered& result, const std::string& name) { return object<Route>(result, name); }

std::string host_end(const Lowered& result) { return *object<Link>(result, "web:eth0").peer; }

}  // namespace

TEST_CASE("a routed NIC is reached by a route to each of its addresses, for which the host answers on the parent") {
    const auto result = lowered_nics(
        "    eth0: {type: nic, nictype: routed, parent: ens33, ipv4.address: '192.0.2.20, 192.0.2.21', ipv6.address: "
        "'2001:db8::20'}\n");
    const std::string outer = host_end(result);
    CHECK(object<Link>(result, "web:eth0").addresses ==
          std::set{*Cidr::parse("192.0.2.20/32"), *Cidr::parse("192.0.2.21/32"), *Cidr::parse("2001:db8::20/128")});
    CHECK(object<Link>(result, outer).addresses == std::set{*Cidr::parse("169.254.0.1/32"), *Cidr::parse("fe80::1/128")});
    CHECK_FALSE(object<Link>(result, outer).master);
    for (const std::string name : {"192.0.2.20/32", "192.0.2.21/32", ":2001:db8::20/128"})
        CHECK(route(result, name) == Route{.via = std::nullopt, .dev = outer});
    for (const std::string name : {"192.0.2.20", "192.0.2.21", ":2001:db8::20"}) {
        CHECK(object<Neighbour>(result, name).dev == "ens33");
        CHECK(has_need(result, {ObjectKind::container, "web"}, {{ObjectKind::neighbour, name}, Bond::order}));
        CHECK(has_need(result, {ObjectKind::neighbour, name}, {{ObjectKind::link, "ens33"}, Bond::rebuild}));
    }
    for (const std::string name : {"net.ipv4.conf.ens33.forwarding", "net.ipv6.conf.ens33.forwarding",
                                   "net.ipv6.conf.ens33.proxy_ndp", "net.ipv6.conf.all.forwarding"}) {
        CHECK(object<Sysctl>(result, name).value == "1");
        CHECK(result.desired.at({ObjectKind::sysctl, name}).borrowed);
    }
    CHECK(object<Sysctl>(result, "net.ipv4.conf." + outer + ".forwarding").value == "1");
    CHECK(object<Sysctl>(result, "net.ipv4.conf." + outer + ".rp_filter").value == "1");
}

TEST_CASE("what several routed NICs ask of one parent is asked once, and stands on what each of them needs") {
    const auto result = lowered_nics(
        "    eth0: {type: nic, nictype: routed, parent: ens33, ipv4.address: 192.0.2.20}\n"
        "    eth1: {type: nic, nictype: routed, parent: ens33, ipv4.address: 192.0.2.21, ipv4.gateway: none}\n");
    const auto& needs = result.desired.at({ObjectKind::sysctl, "net.ipv4.conf.ens33.forwarding"}).needs;
    CHECK(needs == std::vector<Need>{{{ObjectKind::link, "ens33"}, Bond::reapply}});
}

TEST_CASE("a routed container's default routes lead to the host's end, over a route to just that") {
    const auto result = lowered_nics(
        "    eth0: {type: nic, nictype: routed, ipv4.address: 192.0.2.20, ipv4.host_address: 169.254.7.1, ipv6.address: "
        "'2001:db8::20'}\n");
    CHECK(route(result, "web:169.254.7.1/32") == Route{.via = std::nullopt, .dev = "eth0"});
    CHECK(route(result, "web:0.0.0.0/0") == Route{.via = "169.254.7.1", .dev = "eth0"});
    CHECK(route(result, "web:::/0") == Route{.via = "fe80::1", .dev = "eth0"});
    CHECK(
        has_need(result, {ObjectKind::route, "web:0.0.0.0/0"}, {{ObjectKind::route, "web:169.254.7.1/32"}, Bond::rebuild}));
    CHECK_MESSAGE(count(result, ObjectKind::neighbour) == 0, "nobody to answer without a parent");
}

TEST_CASE("a routed NIC without a gateway has no route of its own, and asks no DHCP") {
    const auto result =
        lowered_nics("    eth0: {type: nic, nictype: routed, ipv4.address: 192.0.2.20, ipv4.gateway: none}\n");
    CHECK(count(result, ObjectKind::route) == 1);
    CHECK(route(result, "192.0.2.20/32").dev == host_end(result));
    CHECK_FALSE(object<Container>(result, "web").environment->contains("CTL_DHCP"));
}

TEST_CASE("subnets behind a NIC are routed to its address where the host can reach that, else to the link") {
    SUBCASE("a reserved address") {
        const auto result =
            lowered_nics("    eth0: {type: nic, network: lab0, ipv4.address: 10.28.0.9, ipv4.routes: 10.7.0.0/24}\n");
        CHECK(route(result, "10.7.0.0/24") == Route{.via = "10.28.0.9", .dev = "lab0"});
    }
    SUBCASE("a static address") {
        const auto result = lowered_nics(
            "    eth0: {type: nic, network: still0, ipv4.address: 10.29.0.9, ipv4.routes: '10.7.0.0/24,10.8.0.1/16'}\n");
        CHECK(route(result, "10.7.0.0/24") == Route{.via = "10.29.0.9", .dev = "still0"});
        CHECK(route(result, "10.8.0.0/16") == Route{.via = "10.29.0.9", .dev = "still0"});
        CHECK(has_need(result, {ObjectKind::route, "10.7.0.0/24"}, {{ObjectKind::link, "still0"}, Bond::rebuild}));
    }
    SUBCASE("no address") {
        const auto result = lowered_nics("    eth0: {type: nic, network: lab0, ipv4.routes: 10.7.0.0/24}\n");
        CHECK(route(result, "10.7.0.0/24") == Route{.via = std::nullopt, .dev = "lab0"});
    }
    SUBCASE("on Open vSwitch") {
        const auto result = lowered_nics("    eth0: {type: nic, network: ovs0, ipv6.routes: 'fd42:7::/64'}\n");
        CHECK(route(result, ":fd42:7::/64") == Route{.via = std::nullopt, .dev = "ovs0"});
    }
    SUBCASE("p2p") {
        const auto result = lowered_nics("    eth0: {type: nic, nictype: p2p, ipv4.routes: 10.7.0.0/24}\n");
        CHECK(route(result, "10.7.0.0/24") == Route{.via = std::nullopt, .dev = host_end(result)});
    }
    SUBCASE("routed") {
        const auto result =
            lowered_nics("    eth0: {type: nic, nictype: routed, ipv4.address: 192.0.2.20, ipv4.routes: 10.7.0.0/24}\n");
        CHECK(route(result, "10.7.0.0/24") == Route{.via = "192.0.2.20", .dev = host_end(result)});
        CHECK(has_need(result, {ObjectKind::route, "10.7.0.0/24"}, {{ObjectKind::route, "192.0.2.20/32"}, Bond::rebuild}));
    }
}

TEST_CASE("what comes into a container is limited where the host sends it, what goes out where the host receives it") {
    SUBCASE("each by itself") {
        const auto result =
            lowered_nics("    eth0: {type: nic, network: lab0, limits.ingress: 10Mbit, limits.egress: 1Kibit}\n");
        const auto& end = object<Link>(result, host_end(result));
        CHECK(end.send_limit == 10'000'000);
        CHECK(end.receive_limit == 1024);
        CHECK_FALSE(object<Link>(result, "web:eth0").send_limit);
    }
    SUBCASE("both by one key, in whole bytes") {
        const auto result = lowered_nics("    eth0: {type: nic, nictype: p2p, limits.max: 1001bit}\n");
        CHECK(object<Link>(result, host_end(result)).send_limit == 1000);
        CHECK(object<Link>(result, host_end(result)).receive_limit == 1000);
    }
    SUBCASE("nothing is no limit") {
        const auto result = lowered_nics("    eth0: {type: nic, nictype: p2p, limits.max: 0}\n");
        CHECK_FALSE(object<Link>(result, host_end(result)).send_limit);
    }
}

TEST_CASE("a physical NIC is the host's own, with its own MAC, and asks DHCP") {
    const auto result = lowered_nics("    eth0: {type: nic, nictype: physical, parent: enp4s0f0, mtu: 1400}\n");
    const auto& link = object<Link>(result, "web:eth0");
    CHECK(link.hardware == "enp4s0f0");
    CHECK_FALSE(link.type);
    CHECK_FALSE(link.mac);
    CHECK(link.mtu == 1400);
    CHECK_FALSE(result.desired.at({ObjectKind::link, "web:eth0"}).borrowed);
    CHECK(object<Container>(result, "web").environment->at("CTL_DHCP") == "eth0");
}

TEST_CASE("a VLAN of an interface is made once for all NICs that stand on it") {
    const auto result = lowered_nics(
        "    eth0: {type: nic, nictype: macvlan, parent: ens33, vlan: 5}\n"
        "    eth1: {type: nic, nictype: routed, parent: ens33, vlan: 5, ipv4.address: 192.0.2.20}\n");
    const auto& vlan = object<Link>(result, "ens33.5");
    CHECK(vlan.type == LinkType::vlan);
    CHECK(vlan.vlan == 5);
    CHECK(vlan.parent == "ens33");
    CHECK(vlan.up == true);
    CHECK(has_need(result, {ObjectKind::link, "ens33.5"}, {{ObjectKind::link, "ens33"}, Bond::rebuild}));
    CHECK(object<Link>(result, "web:eth0").parent == "ens33.5");
    CHECK(has_need(result, {ObjectKind::link, "web:eth0"}, {{ObjectKind::link, "ens33.5"}, Bond::rebuild}));
    CHECK(object<Neighbour>(result, "192.0.2.20").dev == "ens33.5");
    CHECK(object<Sysctl>(result, "net.ipv4.conf.ens33/5.forwarding").value == "1");
}

TEST_CASE("only that VLAN of a physical NIC is the container's, born in its namespace") {
    const auto result = lowered_nics("    eth0: {type: nic, nictype: physical, parent: ens33, vlan: 7}\n");
    const auto& link = object<Link>(result, "web:eth0");
    CHECK(link.type == LinkType::vlan);
    CHECK(link.vlan == 7);
    CHECK(link.parent == "ens33");
    CHECK_FALSE(link.hardware);
}

TEST_CASE("an ipvlan has its parent's MAC, and in mode l3s the host tells neighbours where its addresses are") {
    const auto result =
        lowered_nics("    eth0: {type: nic, nictype: ipvlan, parent: ens33, ipv4.address: '192.0.2.20,192.0.2.21'}\n");
    const auto& link = object<Link>(result, "web:eth0");
    CHECK(link.type == LinkType::ipvlan);
    CHECK(link.mode == "l3s");
    CHECK(link.parent == "ens33");
    CHECK_FALSE(link.mac);
    CHECK(link.addresses == std::set{*Cidr::parse("192.0.2.20/32"), *Cidr::parse("192.0.2.21/32")});
    CHECK(route(result, "web:0.0.0.0/0") == Route{.via = std::nullopt, .dev = "eth0"});
    CHECK(route(result, "192.0.2.21/32") == Route{.via = std::nullopt, .dev = "lo"});
    CHECK(object<Neighbour>(result, "192.0.2.20").dev == "ens33");
}

TEST_CASE("an ipvlan in mode l2 is on its parent's segment, with the usual prefix and a gateway of that") {
    const auto result = lowered_nics(
        "    eth0: {type: nic, nictype: ipvlan, parent: ens33, mode: l2, ipv4.address: 192.0.2.20, ipv4.gateway: 192.0.2.1, "
        "ipv6.address: '2001:db8::20'}\n");
    CHECK(object<Link>(result, "web:eth0").addresses ==
          std::set{*Cidr::parse("192.0.2.20/24"), *Cidr::parse("2001:db8::20/64")});
    CHECK(route(result, "web:0.0.0.0/0").via == "192.0.2.1");
    CHECK(count(result, ObjectKind::route) == 1);
    CHECK(count(result, ObjectKind::neighbour) == 0);
}

TEST_CASE("a macvlan network on a VLAN stands on that VLAN's link, and so do the NICs on it") {
    const auto result = lowered(R"(
storage_pools: [{name: default, driver: dir}]
images: [{name: busybox, source: {type: busybox}}]
networks: [{name: lan5, type: macvlan, config: {parent: ens33, vlan: 5, gvrp: true}}]
profiles: [{name: default, devices: {root: {type: disk, path: /, pool: default}}}]
containers:
- name: web
  image: busybox
  profiles: [default]
  devices: {eth0: {type: nic, network: lan5, ipv4.address: 192.0.2.20/24}}
)");
    CHECK(object<Link>(result, "ens33.5").vlan == 5);
    CHECK(object<Link>(result, "ens33.5").gvrp == true);
    CHECK(object<Link>(result, "lan5").parent == "ens33.5");
    CHECK(has_need(result, {ObjectKind::link, "lan5"}, {{ObjectKind::link, "ens33.5"}, Bond::rebuild}));
    CHECK(object<Link>(result, "web:eth0").parent == "ens33.5");
}

TEST_CASE("the host routes a bridge's further subnets to it") {
    const auto result = lowered(
        "networks:\n"
        "- {name: lab0, config: {ipv4.address: 10.28.0.1/24, ipv6.address: none, ipv4.routes: '10.60.0.0/16, 10.61.0.1/16', "
        "ipv6.routes: 'fd42:60::/48'}}\n"
        "- {name: ovs0, config: {bridge.driver: openvswitch, ipv4.address: none, ipv6.address: none, ipv4.routes: "
        "10.62.0.0/16}}\n");
    CHECK(route(result, "10.60.0.0/16") == Route{.via = std::nullopt, .dev = "lab0"});
    CHECK(route(result, "10.61.0.0/16") == Route{.via = std::nullopt, .dev = "lab0"});
    CHECK(route(result, ":fd42:60::/48") == Route{.via = std::nullopt, .dev = "lab0"});
    CHECK(route(result, "10.62.0.0/16") == Route{.via = std::nullopt, .dev = "ovs0"});
    CHECK(has_need(result, {ObjectKind::route, "10.60.0.0/16"}, {{ObjectKind::link, "lab0"}, Bond::rebuild}));
}

TEST_CASE("packets of a NIC with a priority are marked before its filters accept any") {
    const auto result = lowered_nics(
        "    eth0: {type: nic, network: lab0, host_name: veth-web, ipv4.address: 10.28.0.9, limits.priority: 70000, "
        "security.ipv4_filtering: true}\n");
    const auto& chains = *object<NftTable>(result, "ctlports_lab0").chains;
    CHECK(chains.at("nic_veth-web").starts_with("meta priority set 1:1170\n"));
}

TEST_CASE("a container that one network leads out takes no second way out by another that nobody wrote down") {
    const auto result = lowered_nics(
        "    eth0: {type: nic, network: lab0}\n"
        "    eth1: {type: nic, network: still0, ipv4.address: 10.29.0.9}\n");
    CHECK_FALSE(result.desired.contains({ObjectKind::route, "web:0.0.0.0/0"}));
    const auto said = lowered_nics(
        "    eth0: {type: nic, network: lab0}\n"
        "    eth1: {type: nic, network: still0, ipv4.address: 10.29.0.9, ipv4.gateway: auto}\n");
    CHECK(route(said, "web:0.0.0.0/0") == Route{.via = "10.29.0.1", .dev = "eth1"});
    const auto alone = lowered_nics("    eth1: {type: nic, network: still0, ipv4.address: 10.29.0.9}\n");
    CHECK(route(alone, "web:0.0.0.0/0") == Route{.via = "10.29.0.1", .dev = "eth1"});
}
