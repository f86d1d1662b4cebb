#include <doctest/doctest.h>

#include <algorithm>
#include <random>

#include <fmt/format.h>

#include "model/state_json.h"
#include "stacks.h"

using namespace ctl;
using namespace ctl::model;
using namespace ctl::testing;

namespace {

/// What every stack below needs beside the container under test.
constexpr std::string_view ground = R"(
stack: lab
storage_pools: [{name: default, driver: dir}]
images: [{name: busybox, source: {type: busybox}}]
networks:
- {name: lab0, config: {ipv4.address: 10.28.0.1/24, ipv4.dhcp: false, bridge.mtu: 1400}}
- {name: mac0, type: macvlan, config: {parent: ens33, ipv4.address: 10.0.3.1/24}}
profiles: [{name: default, devices: {root: {type: disk, path: /, pool: default}}}]
)";

Lowered lowered_container(const std::string& container) {
    return lowered(std::string(ground) + "containers:\n- " + container);
}

bool has_rule(const Lowered& result, std::string_view rule) {
    const auto& all = result.diagnostics.all();
    return std::any_of(all.begin(), all.end(), [&](const Diagnostic& d) { return d.rule == rule; });
}

}  // namespace

TEST_CASE("a container with a bridged NIC becomes a namespace, a veth pair, a route, a volume and a container") {
    const auto result = lowered_container(
        "{name: web, image: busybox, devices: {eth0: {type: nic, nictype: bridged, parent: lab0, ipv4.address: "
        "10.28.0.9}}}");
    const auto& inner = object<Link>(result, "web:eth0");
    CHECK(inner.type == LinkType::veth);
    CHECK(inner.addresses == std::set{*Cidr::parse("10.28.0.9/24")});
    CHECK(inner.mtu == 1400);
    CHECK(inner.ipv6 == false);
    const auto& outer = object<Link>(result, *inner.peer);
    CHECK(outer.master == "lab0");
    CHECK(outer.peer == "web:eth0");
    CHECK(object<Route>(result, "web:0.0.0.0/0").via == "10.28.0.1");
    CHECK(object<Volume>(result, "default/web").image == "busybox");
    const auto& container = object<Container>(result, "web");
    CHECK(container.rootfs == "/state/pools/default/containers/web/rootfs");
    CHECK(container.state == ContainerState::running);
    CHECK(has_need(result, {ObjectKind::container, "web"}, {{ObjectKind::netns, "web"}, Bond::restart}));
    CHECK(has_need(result, {ObjectKind::container, "web"}, {{ObjectKind::link, "web:eth0"}, Bond::order}));
    CHECK(has_need(result, {ObjectKind::link, "web:eth0"}, {{ObjectKind::netns, "web"}, Bond::rebuild}));
    CHECK(has_need(result, {ObjectKind::link, *inner.peer}, {{ObjectKind::link, "lab0"}, Bond::reapply}));
}

TEST_CASE("a container is unprivileged unless it says otherwise") {
    CHECK(object<Container>(lowered_container("{name: web, image: busybox}"), "web").idmap == "0:100000:65536");
    const auto privileged = lowered_container("{name: web, image: busybox, config: {security.privileged: true}}");
    CHECK(object<Container>(privileged, "web").idmap == "none");
    CHECK(object<Netns>(privileged, "web").idmap == "none");
    CHECK(object<Volume>(privileged, "default/web").idmap == "none");
}

TEST_CASE("a macvlan NIC on a macvlan network hangs on that network's own parent, as the kernel has it") {
    const auto result = lowered_container(
        "{name: t3, image: busybox, devices: {eth0: {type: nic, nictype: macvlan, parent: mac0, ipv4.address: 10.0.3.32, "
        "ipv4.gateway: 10.0.3.1}}}");
    const auto& link = object<Link>(result, "t3:eth0");
    CHECK(link.type == LinkType::macvlan);
    CHECK(link.parent == "ens33");
    CHECK(link.addresses == std::set{*Cidr::parse("10.0.3.32/24")});
    CHECK(object<Route>(result, "t3:0.0.0.0/0").via == "10.0.3.1");
    CHECK(has_need(result, {ObjectKind::link, "t3:eth0"}, {{ObjectKind::link, "mac0"}, Bond::order}));
    CHECK_FALSE(has_rule(result, "macvlan-isolation"));
}

TEST_CASE("the host's route to a leased address on a macvlan network comes and goes with the address") {
    const auto result = lowered_container(
        "name: t3\n  image: busybox\n  profiles: [default]\n  devices: {eth0: {type: nic, network: mac0}}\n");
    REQUIRE(result.followed.size() == 1);
    CHECK(result.followed.front().link == "t3:eth0");
    CHECK(result.followed.front().dev == "mac0");

    const auto routes = [&](const std::set<Cidr>& addresses) {
        HostState desired;
        HostState observed;
        Link link;
        link.addresses = addresses;
        observed[{ObjectKind::link, "t3:eth0"}].object = link;
        add_followed_routes(desired, result.followed, observed);
        return desired;
    };
    CHECK(routes({}).empty());
    CHECK_MESSAGE(routes({*Cidr::parse("fd42::7/64")}).empty(), "IPv4 only");
    const auto found = routes({*Cidr::parse("192.0.2.57/24")});
    REQUIRE(found.size() == 1);
    CHECK(found.begin()->first.str() == "route/192.0.2.57/32");
    CHECK(std::get<Route>(found.begin()->second.object).dev == "mac0");
    CHECK(found.begin()->second.owner == ResourceRef{"lab", "Container", "t3"});
}

TEST_CASE("a container with an address of its own on a macvlan network is in the network's subnet, and not followed") {
    CHECK(
        lowered_container("name: t3\n  image: busybox\n  profiles: [default]\n  devices: {eth0: {type: nic, network: mac0, "
                          "ipv4.address: 10.0.3.5}}\n")
            .followed.empty());
}

TEST_CASE("a macvlan NIC on a host interface comes with a note that the host can't reach it") {
    const auto result = lowered_container(
        "{name: t3, image: busybox, devices: {eth0: {type: nic, nictype: macvlan, parent: enp9s0, ipv4.address: "
        "10.0.9.2/24}}}");
    CHECK(has_rule(result, "macvlan-isolation"));
}

TEST_CASE("an address without a prefix on an unknown network is an error that says what to write") {
    Diagnostics diagnostics;
    const auto documents = model::load_yaml(
        "containers: [{name: t3, image: busybox, devices: {eth0: {type: nic, nictype: bridged, parent: enp9s0, "
        "ipv4.address: 10.0.9.2}}}]",
        "stack.yaml", diagnostics);
    const auto stack = model::parse(documents, "lab", diagnostics);
    const auto result = model::lower(stack, {}, {"/state", "/run/ctl", "/stacks"}, {});
    CHECK(has_rule(result, "address-without-prefix"));
    CHECK(result.diagnostics.has_errors());
}

TEST_CASE("liblxc's old network lines in raw.lxc are set on the container's only NIC") {
    const auto result =
        lowered_container(R"({name: t3, image: busybox, devices: {eth0: {type: nic, nictype: macvlan, parent: mac0}},
  config: {raw.lxc: "lxc.network.ipv4 = 10.0.3.33/24\nlxc.network.ipv4.gateway = 10.0.3.1\nlxc.utsname = x\nlxc.aa_profile = unconfined"}})");
    CHECK(object<Link>(result, "t3:eth0").addresses == std::set{*Cidr::parse("10.0.3.33/24")});
    CHECK(object<Route>(result, "t3:0.0.0.0/0").via == "10.0.3.1");
    CHECK(object<Container>(result, "t3").raw == std::vector<std::string>{"lxc.apparmor.profile = unconfined"});
    CHECK(has_rule(result, "raw-lxc-renamed"));
    CHECK(has_rule(result, "raw-lxc"));  // lxc.utsname is ours
}

TEST_CASE("a LAN bridge borrows its external interface and has no MAC of its own") {
    const auto result = lowered(
        "networks: [{name: lanbr, config: {bridge.external_interfaces: enp4s0f0, ipv4.address: none, ipv6.address: none}}]");
    const auto& port = result.desired.at({ObjectKind::link, "enp4s0f0"});
    CHECK(port.borrowed);
    CHECK(std::get<Link>(port.object).master == "lanbr");
    CHECK_FALSE(std::get<Link>(port.object).type);
    CHECK_FALSE(object<Link>(result, "lanbr").mac);
}

TEST_CASE("a tunnel of a native bridge is a port of it, and lowers the network's MTU") {
    const auto result = lowered(
        "networks:\n- name: br0\n  config: {ipv4.address: none, tunnel.a.protocol: gre, tunnel.a.local: 192.0.2.1, "
        "tunnel.a.remote: 192.0.2.2, tunnel.a.id: 9, tunnel.b.protocol: vxlan, tunnel.b.interface: eth1}\n");
    const auto& gre = object<Link>(result, "br0-a");
    CHECK(gre.type == LinkType::gretap);
    CHECK(gre.master == "br0");
    CHECK(gre.vni == 9);
    CHECK(gre.remote == "192.0.2.2");
    const auto& vxlan = object<Link>(result, "br0-b");
    CHECK(vxlan.type == LinkType::vxlan);
    CHECK(vxlan.master == "br0");
    CHECK(vxlan.parent == "eth1");
    CHECK(vxlan.remote == "239.0.0.1");
    CHECK(vxlan.ttl == 1);
    CHECK(object<Link>(result, "br0").mtu == 1400);
}

TEST_CASE("an auto subnet is chosen once and kept") {
    const std::string yaml = "networks: [{name: lab0, config: {ipv4.address: auto, ipv6.address: none}}]";
    const auto first = lowered(yaml);
    const std::string chosen = first.allocations.at("subnet4/lab0");
    CHECK(Cidr::parse("10.0.0.0/8")->contains(Cidr::parse(chosen)->address));
    CHECK(lowered(yaml, {{"subnet4/lab0", "10.99.1.1/24"}}).allocations.at("subnet4/lab0") == "10.99.1.1/24");
    CHECK(lowered(yaml, {}, {{"other/subnet4/x", chosen}}).allocations.at("subnet4/lab0") != chosen);
}

TEST_CASE("hosts with the same stack choose different MACs, each its own again and again") {
    const auto stack = valid_stack(std::string(ground) +
                                   "containers:\n- {name: web, image: busybox, devices: {eth0: {type: nic, nictype: p2p}}}");
    const auto mac_on = [&](const std::string& machine_id) {
        return lower(stack, {}, {.machine_id = machine_id}).allocations.at("mac/web/eth0");
    };
    CHECK(mac_on("5e0a") == mac_on("5e0a"));
    CHECK(mac_on("5e0a") != mac_on("77c1"));
}

TEST_CASE("an allocation that nothing uses any more is let go") {
    const auto result =
        lowered("networks: [{name: lab0, config: {ipv4.address: 10.1.1.1/24}}]", {{"mac/gone/eth0", "00:16:3e:00:00:01"}});
    CHECK_FALSE(result.allocations.contains("mac/gone/eth0"));
}

TEST_CASE("a bind mount keeps blanks in its source as one word") {
    const auto result = lowered_container(
        "{name: web, image: busybox, devices: {d: {type: disk, source: '/srv/a b', path: /data, readonly: true}}}");
    CHECK(object<Container>(result, "web").mounts->at("/data") == "/srv/a\\040b ro");
}

TEST_CASE("a disk's keys are words behind its source, those that change nothing are none") {
    const auto mount = [](const std::string& keys, const std::string& config = "") {
        const auto result = lowered_container(fmt::format(
            "{{name: web, image: busybox, config: {{user.x: y{}}}, devices: {{d: {{type: disk, source: /s, path: /d{}}}}}}}",
            config, keys));
        return object<Container>(result, "web").mounts->at("/d");
    };
    CHECK(mount("") == "/s");
    CHECK(mount(", shift: true") == "/s shift");
    CHECK_MESSAGE(mount(", shift: true", ", security.privileged: true") == "/s", "it has the host's ids");
    CHECK(mount(", propagation: rslave, recursive: true") == "/s rbind rslave");
    CHECK(mount(", propagation: private, shift: false") == "/s");
    CHECK(mount(", propagation: rprivate, raw.mount.options: \"nosuid, noexec,nosuid\"") == "/s noexec nosuid");
    CHECK(mount(", readonly: true, raw.mount.options: ro") == "/s ro");
    CHECK(mount(", required: false, shift: true, propagation: shared, raw.mount.options: \"ro,nodev\"") ==
          "/s ro optional shift shared nodev");
}

TEST_CASE("a busybox container asks for DHCP on NICs without an address, unless its network mode is link-local") {
    const std::string nic = "devices: {eth0: {type: nic, nictype: bridged, parent: lab0}}";
    CHECK(object<Container>(lowered_container("{name: a, image: busybox, " + nic + "}"), "a").environment->at("CTL_DHCP") ==
          "eth0");
    CHECK(object<Container>(
              lowered_container("{name: a, image: busybox, config: {user.network_mode: link-local}, " + nic + "}"), "a")
              .environment->empty());
}

TEST_CASE("every value keeps the place where it was written, through its profile") {
    const auto result = lowered(R"(
storage_pools: [{name: default, driver: dir}]
images: [{name: busybox, source: {type: busybox}}]
profiles:
- {name: default, devices: {root: {type: disk, path: /, pool: default}}}
- name: small
  config:
    limits.memory: 64MiB
containers:
- {name: web, image: busybox, profiles: [default, small]}
)");
    const auto& entry = result.desired.at({ObjectKind::container, "web"});
    CHECK(std::get<Container>(entry.object).memory_limit == 64 << 20);
    CHECK(entry.places.at("memory_limit").line == 8);
}

TEST_CASE("shuffled resources lower to the same objects") {
    resource::Stack stack = valid_stack(std::string(ground) + R"(
containers:
- {name: a, image: busybox, devices: {eth0: {type: nic, nictype: bridged, parent: lab0}}}
- {name: b, image: busybox, devices: {eth0: {type: nic, nictype: bridged, parent: lab0}}}
- {name: c, image: busybox, devices: {eth0: {type: nic, nictype: macvlan, parent: mac0}}}
)");
    const auto before = state_to_json(lower(stack, {}, {}).desired);
    std::mt19937 random(7);
    for (int round = 0; round < 5; ++round) {
        std::shuffle(stack.containers.begin(), stack.containers.end(), random);
        std::shuffle(stack.networks.begin(), stack.networks.end(), random);
        CHECK(state_to_json(lower(stack, {}, {}).desired) == before);
    }
}

TEST_CASE("a state survives the way to JSON and back") {
    const auto result = lowered_container(
        "{name: web, image: busybox, devices: {eth0: {type: nic, nictype: bridged, parent: lab0, ipv4.address: "
        "10.28.0.9}}}");
    const std::string json = state_to_json(result.desired);
    const auto again = state_from_json(json);
    REQUIRE(again.has_value());
    CHECK(state_to_json(*again) == json);
}
