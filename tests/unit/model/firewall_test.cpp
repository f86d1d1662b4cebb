#include <doctest/doctest.h>

#include <algorithm>
#include <string>

#include "base/text.h"
#include "model/nft_text.h"
#include "model/traffic.h"
#include "stacks.h"

// What network keys, ACLs and forwards become in nft's language, and what is refused before. That the kernel gives the same
// text back is root-nftables-rules' to show.

using namespace ctl;
using namespace ctl::model;
using namespace ctl::testing;

namespace {

constexpr std::string_view ground = R"(stack: lab
storage_pools: [{name: default, driver: dir}]
images: [{name: busybox, source: {type: busybox}}]
profiles: [{name: default, devices: {root: {type: disk, path: /, pool: default}}}]
)";

/// The stack with `text` on line 5 and after.
std::string with(std::string_view text) { return std::string(ground) + std::string(text); }

bool has(const Lowered& result, ObjectKind kind, const std::string& name) { return result.desired.contains({kind, name}); }

/// A chain of a table, its lines; nothing when there is no such chain.
std::vector<std::string> chain(const Lowered& result, const std::string& table, const std::string& name) {
    const auto found = result.desired.find({ObjectKind::nft_table, table});
    REQUIRE_MESSAGE(found != result.desired.end(), table);
    const auto& chains = *std::get<NftTable>(found->second.object).chains;
    const auto lines = chains.find(name);
    if (lines == chains.end()) return {};
    std::vector<std::string> result_lines;
    for (const auto line : split(lines->second, '\n')) result_lines.emplace_back(line);
    return result_lines;
}

bool contains(const std::vector<std::string>& lines, std::string_view line) {
    return std::find(lines.begin(), lines.end(), line) != lines.end();
}

/// Lines count from the end of `ground`.
std::string faults_on_ground(std::string_view text) { return faults(with(text), 5); }

std::string faults_of_rule(const std::string& rule) {
    return faults_on_ground("network_acls: [{name: web, ingress: [" + rule + "]}]\n");
}

std::string faults_of_forward(const std::string& forward) {
    return faults_on_ground(
        "networks: [{name: lab0, config: {ipv4.address: 10.28.0.1/24, ipv6.address: \"fd42::1/64\"}}]\n"
        "network_forwards: [{network: lab0, " +
        forward + "}]\n");
}

std::string faults_of_nic(const std::string& keys, const std::string& network = "ipv4.address: 10.28.0.1/24") {
    return faults_on_ground(
        "networks: [{name: lab0, config: {" + network +
        "}}]\n"
        "containers: [{name: web, image: busybox, devices: {eth0: {type: nic, name: eth0, network: lab0, " +
        keys + "}}}]\n");
}

std::string set(std::string_view list) { return nft::addresses(*parse_addresses(list)); }

}  // namespace

TEST_CASE("addresses are merged where they overlap or touch, and are written as the kernel lists them") {
    CHECK(set("10.0.0.1") == "10.0.0.1");
    CHECK(set("10.0.0.77/24") == "10.0.0.0/24");
    CHECK(set("10.0.0.0/24,10.0.1.0/24") == "10.0.0.0/23");
    CHECK(set("10.0.0.9,10.0.0.1-10.0.0.8,9.9.9.9") == "{ 9.9.9.9, 10.0.0.1-10.0.0.9 }");
    CHECK(set("0.0.0.0/0,10.0.0.1") == "0.0.0.0/0");
    CHECK(set("fd42::/64, fd42:0:0:1::/64, ::1") == "{ ::1, fd42::/63 }");
    CHECK(set("255.255.255.255,255.255.255.254") == "255.255.255.254/31");
    for (const auto* bad : {"", "10.0.0.256", "10.0.0.9-10.0.0.1", "10.0.0.1-::1", "1.2.3.4/33", "a", "1.2.3.4,,1.2.3.5"})
        CHECK_MESSAGE(!parse_addresses(bad), bad);
}

TEST_CASE("ports are merged and written as the kernel lists them") {
    const auto ports = [](std::string_view list) { return nft::ports(*parse_ports(list)); };
    CHECK(ports("80") == "80");
    CHECK(ports("443, 80") == "{ 80, 443 }");
    CHECK(ports("81-90,80,100") == "{ 80-90, 100 }");
    CHECK(ports("65535,1-65534") == "1-65535");
    for (const auto* bad : {"", "0", "65536", "90-80", "80-", "-80", "http", "80,", "1-2-3"})
        CHECK_MESSAGE(!parse_ports(bad), bad);
}

TEST_CASE("nothing that goes into a log's prefix can end it") { CHECK(nft::log("a\"b\\c\nd") == "log prefix \"a_b_c_d\""); }

TEST_CASE("a network whose IPv4 is translated hides its containers from new connections") {
    const auto result = lowered(
        with("networks: [{name: lab0, config: {ipv4.address: 10.28.0.1/24, ipv4.nat: true, ipv6.address: none}}]\n"));
    CHECK(chain(result, "ctl_lab0", "postrouting") ==
          std::vector<std::string>{"type nat hook postrouting priority srcnat - 5; policy accept;",
                                   "ip saddr 10.28.0.0/24 ip daddr != 10.28.0.0/24 masquerade"});
    CHECK(chain(result, "ctl_lab0", "forward") ==
          std::vector<std::string>{
              "type filter hook forward priority filter; policy accept;",
              "iifname != \"lab0\" oifname \"lab0\" ip daddr 10.28.0.0/24 ct state established,related accept",
              "iifname != \"lab0\" oifname \"lab0\" ip daddr 10.28.0.0/24 ct status dnat accept",
              "iifname != \"lab0\" oifname \"lab0\" ip daddr 10.28.0.0/24 drop"});
    CHECK(std::get<NftTable>(result.desired.at({ObjectKind::nft_table, "ctl_lab0"}).object).family == "inet");
    const auto& forwarding = result.desired.at({ObjectKind::sysctl, "net.ipv4.ip_forward"});
    CHECK(std::get<Sysctl>(forwarding.object).value == "1");
    CHECK(forwarding.borrowed);
}

TEST_CASE("each of the NAT keys shows in the rules") {
    const auto rules = [](const std::string& keys) {
        return lowered(with("networks: [{name: lab0, config: {ipv4.address: 10.28.0.1/24, ipv4.nat: true, " + keys +
                            (keys.starts_with("ipv6.address") ? "" : ", ipv6.address: none") + "}}]\n"));
    };
    CHECK(contains(chain(rules("ipv4.nat.address: 192.0.2.1"), "ctl_lab0", "postrouting"),
                   "ip saddr 10.28.0.0/24 ip daddr != 10.28.0.0/24 snat ip to 192.0.2.1"));
    const auto after = rules("ipv4.nat.order: after");
    CHECK(chain(after, "ctl_lab0", "postrouting").empty());
    CHECK(chain(after, "ctl_lab0", "postrouting_after").front() ==
          "type nat hook postrouting priority srcnat + 5; policy accept;");
    CHECK(chain(rules("ipv4.firewall: false"), "ctl_lab0", "forward").empty());
    const auto closed = rules("ipv4.routing: false");
    CHECK(!has(closed, ObjectKind::sysctl, "net.ipv4.ip_forward"));
    CHECK(object<Sysctl>(closed, "net.ipv4.conf.lab0.forwarding").value == "0");
    CHECK(contains(chain(closed, "ctl_lab0", "forward"), "iifname \"lab0\" oifname != \"lab0\" meta nfproto ipv4 drop"));
    CHECK(contains(chain(closed, "ctl_lab0", "forward"), "iifname != \"lab0\" oifname \"lab0\" meta nfproto ipv4 drop"));
    const auto v6 = rules("ipv6.address: \"fd42::1/64\", ipv6.nat: true, ipv6.nat.address: \"2001:db8::1\"");
    CHECK(contains(chain(v6, "ctl_lab0", "postrouting"),
                   "ip6 saddr fd42::/64 ip6 daddr != fd42::/64 snat ip6 to 2001:db8::1"));
    CHECK(contains(chain(v6, "ctl_lab0", "forward"), "iifname != \"lab0\" oifname \"lab0\" ip6 daddr fd42::/64 drop"));
    CHECK(has(v6, ObjectKind::sysctl, "net.ipv6.conf.all.forwarding"));
}

TEST_CASE("an address that is left to be chosen is translated unless the manifest says otherwise") {
    const auto result = [](const std::string& keys) {
        return lowered(with("networks: [{name: lab0, config: {ipv6.address: none, " + keys + "}}]\n"));
    };
    CHECK(has(result("ipv4.address: auto"), ObjectKind::nft_table, "ctl_lab0"));
    CHECK(!has(result("ipv4.address: auto, ipv4.nat: false"), ObjectKind::nft_table, "ctl_lab0"));
    CHECK(!has(result("ipv4.address: 10.28.0.1/24"), ObjectKind::nft_table, "ctl_lab0"));
    CHECK(!has(result("ipv4.address: none"), ObjectKind::nft_table, "ctl_lab0"));
}

TEST_CASE("two networks of a stack share the host's forwarding without a clash") {
    const auto result =
        lowered(with("networks:\n- {name: lab1, config: {ipv4.address: 10.29.0.1/24}}\n"
                     "- {name: lab0, config: {ipv4.address: 10.28.0.1/24}}\n"));
    CHECK(result.desired.at({ObjectKind::sysctl, "net.ipv4.ip_forward"}).owner.name == "lab0");
}

TEST_CASE("an ACL's drops come before its rejects and those before what it allows, then the default") {
    const auto result = lowered(with(R"(networks:
- name: lab0
  config:
    ipv4.address: 10.28.0.1/24
    ipv4.nat: true
    security.acls: web, dns
    security.acls.default.egress.action: allow
    security.acls.default.ingress.logged: true
network_acls:
- name: web
  ingress:
  - {action: allow, protocol: tcp, destination_port: "80,443", source: "192.0.2.0/24, 2001:db8::/32"}
  - {action: reject, source: 192.0.2.66}
  - {action: allow, state: disabled, protocol: tcp, destination_port: 22}
  egress:
  - {action: drop, state: logged, destination: 10.0.0.1-10.0.0.5, protocol: udp, source_port: 53}
- name: dns
  ingress:
  - {action: allow, protocol: icmp4, icmp_type: 8}
  - {action: reject, protocol: icmp6}
  - {action: drop, protocol: tcp}
)"));
    CHECK(chain(result, "ctl_lab0", "acl") ==
          std::vector<std::string>{
              "ct state established,related accept",
              "iifname \"lab0\" ip daddr 10.0.0.1-10.0.0.5 udp sport 53 log prefix \"lab0 web egress 1: \" drop",
              "oifname \"lab0\" meta l4proto tcp drop",
              "oifname \"lab0\" ip saddr 192.0.2.66 reject with icmp port-unreachable",
              "oifname \"lab0\" meta l4proto ipv6-icmp reject",
              "oifname \"lab0\" ip saddr 192.0.2.0/24 tcp dport { 80, 443 } accept",
              "oifname \"lab0\" ip6 saddr 2001:db8::/32 tcp dport { 80, 443 } accept",
              "oifname \"lab0\" icmp type echo-request accept",
              "iifname \"lab0\" accept",
              "oifname \"lab0\" log prefix \"lab0 default ingress: \" reject",
          });
    CHECK(chain(result, "ctl_lab0", "forward") ==
          std::vector<std::string>{"type filter hook forward priority filter; policy accept;",
                                   "iifname \"lab0\" oifname != \"lab0\" jump acl",
                                   "iifname != \"lab0\" oifname \"lab0\" jump acl"});
    CHECK(chain(result, "ctl_lab0", "input").back() == "iifname \"lab0\" jump acl");
    CHECK(contains(chain(result, "ctl_lab0", "input"), "iifname \"lab0\" udp dport { 53, 67, 547 } accept"));
    CHECK(chain(result, "ctl_lab0", "output").back() == "oifname \"lab0\" jump acl");
}

TEST_CASE("a forward leads its ports first and the rest after, from outside and from the host, and back to neighbours") {
    const auto result =
        lowered(with(R"(networks: [{name: lab0, config: {ipv4.address: 10.28.0.1/24, ipv6.address: "fd42::1/64"}}]
network_forwards:
- network: lab0
  listen_address: 192.0.2.10
  config: {target_address: 10.28.0.9}
  ports:
  - {protocol: tcp, listen_port: "80,443", target_address: 10.28.0.11}
  - {protocol: tcp, listen_port: 8000-8002, target_address: 10.28.0.12, target_port: 80}
  - {protocol: udp, listen_port: "53,54", target_address: 10.28.0.11, target_port: "5353-5354"}
- {network: lab0, listen_address: "2001:db8::10", ports: [{protocol: tcp, listen_port: 22, target_address: "fd42::5", target_port: 2222}]}
)"));
    const std::vector<std::string> rules{"ip daddr 192.0.2.10 tcp dport { 80, 443 } dnat ip to 10.28.0.11",
                                         "ip daddr 192.0.2.10 tcp dport 8000-8002 dnat ip to 10.28.0.12:80",
                                         "ip daddr 192.0.2.10 udp dport 53 dnat ip to 10.28.0.11:5353",
                                         "ip daddr 192.0.2.10 udp dport 54 dnat ip to 10.28.0.11:5354",
                                         "ip daddr 192.0.2.10 dnat ip to 10.28.0.9",
                                         "ip6 daddr 2001:db8::10 tcp dport 22 dnat ip6 to [fd42::5]:2222"};
    auto prerouting = chain(result, "ctl_lab0", "prerouting");
    CHECK(prerouting.front() == "type nat hook prerouting priority dstnat; policy accept;");
    prerouting.erase(prerouting.begin());
    CHECK(prerouting == rules);
    auto output = chain(result, "ctl_lab0", "output_nat");
    output.erase(output.begin());
    CHECK(output == rules);
    CHECK(contains(chain(result, "ctl_lab0", "postrouting"),
                   "ip saddr 10.28.0.0/24 ip daddr { 10.28.0.9, 10.28.0.11-10.28.0.12 } ct status dnat masquerade"));
}

TEST_CASE("a NIC's filters are a chain of its own that its container waits for") {
    const auto result =
        lowered(with(R"(networks: [{name: lab0, config: {ipv4.address: 10.28.0.1/24, ipv6.address: "fd42::1/64"}}]
containers:
- name: web
  image: busybox
  devices:
    eth0: {type: nic, network: lab0, host_name: vethweb, hwaddr: "00:16:3E:00:00:0a", ipv4.address: 10.28.0.5, ipv6.address: "fd42::5",
           security.mac_filtering: true, security.ipv4_filtering: true, security.ipv6_filtering: true, security.port_isolation: true}
- {name: free, image: busybox, devices: {eth0: {type: nic, network: lab0}}}
)"));
    CHECK(chain(result, "ctlports_lab0", "prerouting") ==
          std::vector<std::string>{"type filter hook prerouting priority filter; policy accept;",
                                   "iifname vmap { \"vethweb\" : jump nic_vethweb }"});
    const auto rules = chain(result, "ctlports_lab0", "nic_vethweb");
    for (const std::string_view rule :
         {"ether saddr != 00:16:3e:00:00:0a drop", "arp saddr ether != 00:16:3e:00:00:0a drop",
          "icmpv6 type nd-neighbor-advert @nh,528,48 != 0x163e00000a drop", "arp saddr ip != { 0.0.0.0, 10.28.0.5 } drop",
          "ip saddr != 10.28.0.5 drop", "icmpv6 type { nd-router-advert, nd-redirect } drop",
          "ip6 saddr != { fd42::5, fe80::216:3eff:fe00:a } drop", "ether type != { ip, arp, ip6 } drop"})
        CHECK_MESSAGE(contains(rules, rule), rule);
    CHECK(std::get<Link>(result.desired.at({ObjectKind::link, "vethweb"}).object).isolated == true);
    const auto& needs = result.desired.at({ObjectKind::container, "web"}).needs;
    CHECK(std::find(needs.begin(), needs.end(), Need{{ObjectKind::nft_table, "ctlports_lab0"}, Bond::order}) != needs.end());
    const auto& others = result.desired.at({ObjectKind::container, "free"}).needs;
    CHECK(
        std::none_of(others.begin(), others.end(), [](const Need& need) { return need.id.kind == ObjectKind::nft_table; }));
}

TEST_CASE("a filtered NIC that has no address of a family says nothing in it") {
    const auto result = lowered(with(R"(networks: [{name: lab0, config: {ipv4.address: 10.28.0.1/24, ipv6.address: none}}]
containers:
- name: web
  image: busybox
  devices:
    eth0: {type: nic, network: lab0, host_name: vethweb, ipv4.address: none, security.ipv4_filtering: true, security.ipv6_filtering: true}
)"));
    const auto rules = chain(result, "ctlports_lab0", "nic_vethweb");
    for (const std::string_view rule : {"ether type arp drop", "ether type ip drop", "ether type ip6 drop"})
        CHECK_MESSAGE(contains(rules, rule), rule);
}

TEST_CASE("faults of ACLs are told, all at once and where they stand") {
    CHECK(faults_of_rule("{action: allow}").empty());
    CHECK(faults_of_rule("{action: allow, source: 10.0.0.0/8, destination: \"10.0.0.1-10.0.0.9, fd00::1\", protocol: tcp, "
                         "source_port: 1-1023, destination_port: 80}")
              .empty());
    CHECK(faults_of_rule("{}") == "1:missing-key");
    CHECK(faults_of_rule("{action: permit}") == "1:bad-value");
    CHECK(faults_of_rule("{action: allow, state: on}") == "1:bad-value");
    CHECK(faults_of_rule("{action: allow, ports: 80}") == "1:unknown-key");
    CHECK(faults_of_rule("{action: allow, source: web}") == "1:bad-address");
    CHECK(faults_of_rule("{action: allow, source: \"@internal\"}") == "1:bad-address");
    CHECK(faults_of_rule("{action: allow, destination: 10.0.0.9-10.0.0.1}") == "1:bad-address");
    CHECK(faults_of_rule("{action: allow, destination_port: 80}") == "1:port-without-protocol");
    CHECK(faults_of_rule("{action: allow, protocol: icmp4, source_port: 80}") == "1:port-without-protocol");
    CHECK(faults_of_rule("{action: allow, protocol: tcp, destination_port: 70000}") == "1:bad-port");
    CHECK(faults_of_rule("{action: allow, protocol: tcp, icmp_type: 8}") == "1:icmp-without-protocol");
    CHECK(faults_of_rule("{action: allow, protocol: icmp4, icmp_type: 256}") == "1:bad-icmp");
    CHECK(faults_of_rule("{action: allow, protocol: icmp4, icmp_code: 1}") == "1:icmp-code");
    CHECK(faults_of_rule("{action: allow, protocol: icmp6, source: 10.0.0.1}") == "1:acl-family");
    CHECK(faults_of_rule("{action: allow, source: 10.0.0.1, destination: \"fd00::1\"}") == "1:acl-family");
    CHECK(faults_on_ground("network_acls: [{name: web}, {name: web}, {name: a b}]\n") == "1:duplicate-name 1:bad-name");
    CHECK(faults_on_ground(
              "networks: [{name: lab0, config: {security.acls: \"wbe, web, web\"}}]\nnetwork_acls: [{name: web}]\n") ==
          "1:unknown-acl 1:duplicate-acl");
}

TEST_CASE("faults of forwards are told") {
    const std::string port = "ports: [{protocol: tcp, listen_port: 80, target_address: 10.28.0.5}]";
    CHECK(faults_of_forward("listen_address: 192.0.2.1, " + port).empty());
    CHECK(faults_of_forward("listen_address: 192.0.2.1") == "2:forward-empty");
    CHECK(faults_of_forward("listen_address: 192.0.2, " + port) == "2:bad-value");
    CHECK(faults_of_forward("listen_address: 10.28.0.1, " + port) == "2:forward-listen");
    CHECK(faults_of_forward("listen_address: \"2001:db8::1\", " + port) == "2:forward-family");
    CHECK(faults_of_forward("listen_address: 192.0.2.1, config: {target_address: 10.29.0.5}") == "2:address-outside");
    CHECK(faults_of_forward("listen_address: 192.0.2.1, config: {target_address: 10.28.0.1}") == "2:forward-target");
    CHECK(faults_of_forward("listen_address: 192.0.2.1, config: {target_address: 10.28.0.5}, " + port) ==
          "2:forward-target");
    const auto of_ports = [](const std::string& list) {
        return faults_of_forward("listen_address: 192.0.2.1, ports: [" + list + "]");
    };
    CHECK(of_ports("{protocol: tcp, listen_port: 80-82, target_address: 10.28.0.5, target_port: 1-2}") == "2:forward-ports");
    CHECK(of_ports("{protocol: tcp, listen_port: 1-2000, target_address: 10.28.0.5, target_port: 2001-4000}") ==
          "2:forward-ports");
    CHECK(of_ports("{protocol: tcp, listen_port: 0, target_address: 10.28.0.5}") == "2:bad-port");
    CHECK(of_ports("{protocol: sctp, listen_port: 1, target_address: 10.28.0.5}") == "2:bad-value");
    CHECK(of_ports("{protocol: tcp, listen_port: 80-90, target_address: 10.28.0.5}, {protocol: tcp, listen_port: 85, "
                   "target_address: 10.28.0.6}") == "2:forward-port-twice");
    CHECK(of_ports("{protocol: tcp, listen_port: 80, target_address: 10.28.0.5}, {protocol: udp, listen_port: 80, "
                   "target_address: 10.28.0.6}")
              .empty());
    CHECK(faults_on_ground(
              "network_forwards: [{network: nil0, listen_address: 192.0.2.1, config: {target_address: 10.28.0.5}}]\n") ==
          "1:unknown-network");
    CHECK(faults_on_ground(
              "networks: [{name: mac0, type: macvlan, config: {parent: eth0}}]\n"
              "network_forwards: [{network: mac0, listen_address: 192.0.2.1, config: {target_address: 10.28.0.5}},\n"
              "  {network: mac0, listen_address: 192.0.2.1, config: {target_address: 10.28.0.6}}]\n") ==
          "2:forward-network 3:forward-network 3:duplicate-forward");
}

TEST_CASE("faults of NAT keys and of NICs' security are told") {
    CHECK(faults_on_ground("networks: [{name: lab0, config: {ipv4.address: none, ipv4.nat: true}}]\n") ==
          "1:nat-without-subnet");
    CHECK(
        faults_on_ground(
            "networks: [{name: lab0, config: {ipv4.address: 10.0.0.1/24, ipv4.nat: true, ipv4.nat.address: 10.0.0.9}}]\n") ==
        "1:nat-address");
    CHECK(faults_of_nic("ipv4.address: 10.28.0.5, security.ipv4_filtering: true, security.mac_filtering: true").empty());
    CHECK(faults_of_nic("security.ipv4_filtering: true") == "2:filter-without-address");
    CHECK(faults_of_nic("security.ipv6_filtering: true", "ipv4.address: 10.28.0.1/24, ipv6.address: none").empty());
    CHECK(faults_of_nic("ipv4.address: none, security.ipv4_filtering: true").empty());
    const auto on_switch = [](const std::string& keys) {
        return faults_of_nic("security.mac_filtering: true, security.port_isolation: true",
                             "bridge.driver: openvswitch" + keys);
    };
    CHECK(on_switch("").empty());
    CHECK(on_switch(", openvswitch.fail_mode: standalone").empty());
    CHECK(on_switch(", openvswitch.fail_mode: secure") == "2:filter-with-controller 2:filter-with-controller");
    CHECK(on_switch(", openvswitch.controllers: 'tcp:10.0.0.5:6653'") ==
          "2:filter-with-controller 2:filter-with-controller");
    CHECK(faults_on_ground(
              "containers: [{name: web, image: busybox, devices: {eth0: {type: nic, nictype: bridged, parent: br7,\n"
              "  security.mac_filtering: true, security.port_isolation: false}}}]\n") == "2:security-parent");
}
