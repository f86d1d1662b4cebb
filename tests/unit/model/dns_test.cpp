#include <doctest/doctest.h>

#include <algorithm>

#include "model/dhcp.h"
#include "stacks.h"

// What a network's address, DHCP and DNS keys come to. The examples' whole plans are in tests/golden/plan.

using namespace ctl;
using namespace ctl::model;
using namespace ctl::testing;

namespace {

using Lines = std::vector<std::string>;
using Map = std::map<std::string, std::string>;

/// A network br0 with these keys, and two busybox containers with NICs on it.
Lowered with(const std::string& config, const std::string& nic1 = "", const std::string& nic2 = "") {
    return lowered(
        "storage_pools: [{name: default, driver: dir}]\nimages: [{name: busybox, source: {type: busybox}}]\n"
        "networks: [{name: br0, config: {" +
        config +
        "}}]\nprofiles: [{name: default, devices: {root: {type: disk, path: /, pool: default}}}]\n"
        "containers:\n- {name: web, image: busybox, devices: {eth0: {type: nic, network: br0, hwaddr: "
        "'00:16:3e:00:00:01'" +
        nic1 +
        "}}}\n- {name: db, image: busybox, devices: {eth0: {type: nic, network: br0, hwaddr: "
        "'00:16:3e:00:00:02'" +
        nic2 + "}}}\n");
}

const DnsService& service(const Lowered& result, const std::string& name = "br0") {
    const auto found = result.desired.find({ObjectKind::dns_service, name});
    REQUIRE(found != result.desired.end());
    return std::get<DnsService>(found->second.object);
}

bool is_served(const Lowered& result) { return result.desired.contains({ObjectKind::dns_service, "br0"}); }

bool has_line(const Lowered& result, const std::string& line) {
    const auto& lines = *service(result).options;
    return std::find(lines.begin(), lines.end(), line) != lines.end();
}

std::string faults_of(const std::string& config, const std::string& nic = "") {
    return faults("networks:\n- name: br0\n  config:\n" + config +
                  "profiles:\n- {name: p, devices: {eth0: {type: nic, network: br0" + nic + "}}}\n");
}

}  // namespace

TEST_CASE("a network with an IPv4 address serves it all with names") {
    const auto result = with("ipv4.address: 10.0.3.1/24, ipv6.address: none");
    CHECK(*service(result).options == Lines{"listen-address=10.0.3.1", "dhcp-range=10.0.3.2,10.0.3.254,1h",
                                            "dhcp-ignore-names", "domain=lxd", "local=/lxd/",
                                            "interface-name=_gateway.lxd,br0"});
    CHECK(*service(result).reservations == Map{{"db:eth0", "00:16:3e:00:00:02,db"}, {"web:eth0", "00:16:3e:00:00:01,web"}});
    CHECK(service(result).records->empty());
    CHECK(service(result).running == true);
    const auto& needs = result.desired.at({ObjectKind::dns_service, "br0"}).needs;
    CHECK(needs == std::vector<Need>{{{ObjectKind::link, "br0"}, Bond::reapply}});
}

TEST_CASE("ranges, lease time, gateway, MTU, search list and raw lines reach dnsmasq") {
    const auto result = with(
        "ipv4.address: 10.0.3.1/24, ipv6.address: none, bridge.mtu: 1400, ipv4.dhcp.expiry: 30m, ipv4.dhcp.gateway: "
        "10.0.3.9, ipv4.dhcp.ranges: '10.0.3.20 - 10.0.3.29, 10.0.3.50-10.0.3.59', dns.domain: lab.example, dns.search: "
        "'lab.example, example', raw.dnsmasq: \"server=1.1.1.1\\n\\n  log-queries  \\n\"");
    CHECK(*service(result).options == Lines{"listen-address=10.0.3.1", "dhcp-range=10.0.3.20,10.0.3.29,30m",
                                            "dhcp-range=10.0.3.50,10.0.3.59,30m", "dhcp-option-force=3,10.0.3.9",
                                            "dhcp-option-force=26,1400", "dhcp-option-force=119,lab.example,example",
                                            "dhcp-ignore-names", "domain=lab.example", "local=/lab.example/",
                                            "interface-name=_gateway.lab.example,br0", "server=1.1.1.1", "log-queries"});
}

TEST_CASE("a NIC's address is reserved where DHCP gives it, and set inside the container where not") {
    const std::string nic = ", ipv4.address: 10.0.3.66";
    const auto reserved = with("ipv4.address: 10.0.3.1/24, ipv6.address: none", nic);
    CHECK(service(reserved).reservations->at("web:eth0") == "00:16:3e:00:00:01,10.0.3.66,web");
    CHECK(object<Link>(reserved, "web:eth0").addresses->empty());
    CHECK_FALSE(reserved.desired.contains({ObjectKind::route, "web:0.0.0.0/0"}));
    const auto& container = reserved.desired.at({ObjectKind::container, "web"});
    CHECK(std::get<Container>(container.object).environment->at("CTL_DHCP") == "eth0");
    const Need order{{ObjectKind::dns_service, "br0"}, Bond::order};
    CHECK(std::find(container.needs.begin(), container.needs.end(), order) != container.needs.end());

    const auto inside = with("ipv4.address: 10.0.3.1/24, ipv4.dhcp: false, ipv6.address: none", nic);
    CHECK_FALSE(is_served(inside));
    CHECK(object<Link>(inside, "web:eth0").addresses == std::set{*Cidr::parse("10.0.3.66/24")});
    CHECK(inside.desired.contains({ObjectKind::route, "web:0.0.0.0/0"}));
}

TEST_CASE("names are the manifest's, the clients', or nobody's") {
    const std::string base = "ipv4.address: 10.0.3.1/24, ipv6.address: none, dns.mode: ";
    const std::string nic = ", ipv4.address: 10.0.3.66";
    const auto managed = with(base + "managed", nic);
    CHECK(service(managed).reservations->at("web:eth0") == "00:16:3e:00:00:01,10.0.3.66,web");
    CHECK(has_line(managed, "dhcp-ignore-names"));
    CHECK(has_line(managed, "domain=lxd"));
    const auto dynamic = with(base + "dynamic", nic);
    CHECK(*service(dynamic).reservations ==
          Map{{"db:eth0", "00:16:3e:00:00:02"}, {"web:eth0", "00:16:3e:00:00:01,10.0.3.66"}});
    CHECK_FALSE(has_line(dynamic, "dhcp-ignore-names"));
    CHECK(has_line(dynamic, "domain=lxd"));
    const auto none = with(base + "none", nic);
    CHECK(service(none).reservations->at("web:eth0") == "00:16:3e:00:00:01,10.0.3.66");
    CHECK(has_line(none, "dhcp-ignore-names"));
    CHECK_FALSE(has_line(none, "domain=lxd"));
}

TEST_CASE("names of addresses that DHCP does not give out are served where somebody asks for names") {
    const auto result = with("ipv4.address: 10.0.3.1/24, ipv4.dhcp: false, ipv6.address: none, dns.domain: lab",
                             ", ipv4.address: 10.0.3.66");
    CHECK(*service(result).options == Lines{"listen-address=10.0.3.1", "dhcp-ignore-names", "domain=lab", "local=/lab/",
                                            "interface-name=_gateway.lab,br0"});
    CHECK(service(result).reservations->empty());
    CHECK(*service(result).records == Map{{"web:eth0:ipv4", "10.0.3.66 web.lab web"}});
    CHECK_FALSE(is_served(with("ipv4.address: 10.0.3.1/24, ipv4.dhcp: false, ipv6.address: none, dns.mode: none")));
}

TEST_CASE("IPv6 is announced, and given out where that is asked for") {
    const std::string v6 = "ipv4.address: none, ipv6.address: 'fd42:3::1/64'";
    const auto stateless = with(v6, ", ipv6.address: 'fd42:3::66'");
    CHECK(has_line(stateless, "enable-ra"));
    CHECK(has_line(stateless, "dhcp-range=::,constructor:br0,ra-stateless,ra-names"));
    CHECK(object<Link>(stateless, "web:eth0").addresses == std::set{*Cidr::parse("fd42:3::66/64")});
    CHECK(object<Link>(stateless, "db:eth0").ipv6 == true);
    CHECK(service(stateless).records->at("web:eth0:ipv6") == "fd42:3::66 web.lxd web");

    const auto only = with(v6 + ", ipv6.dhcp: false, ipv6.routing: false");
    CHECK(has_line(only, "dhcp-range=::,constructor:br0,ra-only"));
    CHECK(has_line(only, "ra-param=br0,0,0"));

    const auto stateful =
        with(v6 + ", ipv6.dhcp.stateful: true, ipv6.dhcp.expiry: 2h, dns.search: a.b", ", ipv6.address: 'fd42:3::66'");
    CHECK(has_line(stateful, "dhcp-range=fd42:3::2,fd42:3::ffff:ffff:ffff:ffff,64,2h"));
    CHECK(has_line(stateful, "dhcp-option=option6:domain-search,a.b"));
    CHECK(service(stateful).reservations->at("web:eth0") == "00:16:3e:00:00:01,[fd42:3::66],web");
    CHECK(object<Link>(stateful, "web:eth0").addresses->empty());
    CHECK(object<Link>(stateful, "web:eth0").ipv6 == true);
    // Hosts can't choose an address in a subnet that is not a /64.
    CHECK_FALSE(is_served(with("ipv4.address: none, ipv6.address: 'fd42:3::1/80'")));
}

TEST_CASE("a bridge that does not route tells its clients of no gateway") {
    CHECK(has_line(with("ipv4.address: 10.0.3.1/24, ipv6.address: none, ipv4.routing: false"), "dhcp-option=3"));
}

TEST_CASE("a subnet with room for nobody else gives out nothing") {
    CHECK_FALSE(is_served(with("ipv4.address: 10.0.3.0/31, ipv6.address: none")));
    CHECK(has_line(with("ipv4.address: 10.0.3.1/30, ipv6.address: none"), "dhcp-range=10.0.3.2,10.0.3.2,1h"));
}

TEST_CASE("a container with two NICs on a network goes by the name of its first") {
    const auto result = lowered(R"(
storage_pools: [{name: default, driver: dir}]
images: [{name: busybox, source: {type: busybox}}]
networks: [{name: br0, config: {ipv4.address: 10.0.3.1/24, ipv6.address: none}}]
profiles: [{name: default, devices: {root: {type: disk, path: /, pool: default}}}]
containers:
- name: web
  image: busybox
  devices:
    a: {type: nic, network: br0, name: eth0, hwaddr: '00:16:3e:00:00:01'}
    b: {type: nic, network: br0, name: eth1, hwaddr: '00:16:3e:00:00:02'}
)");
    CHECK(*service(result).reservations == Map{{"web:eth0", "00:16:3e:00:00:01,web"}, {"web:eth1", "00:16:3e:00:00:02"}});
}

TEST_CASE("a bridge that says nothing of addresses has one of each family, with translation") {
    const auto result = with("user.note: x");
    const auto& addresses = *object<Link>(result, "br0").addresses;
    REQUIRE(addresses.size() == 2);
    CHECK(addresses.begin()->str() == result.allocations.at("subnet4/br0"));
    CHECK(addresses.rbegin()->str() == result.allocations.at("subnet6/br0"));
    CHECK(addresses.begin()->prefix == 24);
    CHECK(Cidr::parse("fd42::/16")->contains(addresses.rbegin()->address));
    CHECK(has_line(result, "enable-ra"));
}

TEST_CASE("a bridge with an interface of the host in it has no address unless it says so") {
    const auto result = with("bridge.external_interfaces: eth9");
    CHECK(object<Link>(result, "br0").addresses->empty());
    CHECK_FALSE(is_served(result));
    CHECK(object<Link>(with("bridge.external_interfaces: eth9, ipv4.address: auto"), "br0").addresses->size() == 1);
}

TEST_CASE("without IPv6 in the kernel nobody is given any") {
    HostLayout layout;
    layout.has_ipv6 = false;
    const auto result = lowered("networks: [{name: br0}]", {}, {}, layout);
    CHECK(object<Link>(result, "br0").addresses->size() == 1);
    CHECK(object<Link>(result, "br0").ipv6 == false);
}

TEST_CASE("an auto subnet steps aside for what the host has, and comes out alike otherwise") {
    const std::string yaml = "networks: [{name: br0}]";
    const auto free = lowered(yaml).allocations;
    CHECK(lowered(yaml).allocations == free);
    HostLayout layout;
    const Cidr taken = *Cidr::parse(free.at("subnet4/br0"));
    layout.subnets = {Cidr{taken.network().address, 20}};
    const auto aside = lowered(yaml, {}, {}, layout).allocations;
    CHECK_FALSE(layout.subnets.begin()->overlaps(*Cidr::parse(aside.at("subnet4/br0"))));
    CHECK(aside.at("subnet6/br0") == free.at("subnet6/br0"));
}

TEST_CASE("what a network's DHCP can't do is told at its place, all at once") {
    const std::string v4 = "    ipv4.address: 10.0.3.1/24\n    ipv6.address: none\n";
    CHECK(faults_of(v4 + "    ipv4.dhcp.ranges: 10.0.3.10-10.0.3.20, 10.0.3.30-10.0.3.40\n    ipv4.dhcp.expiry: 2m\n")
              .empty());
    CHECK(faults_of(v4 +
                    "    ipv4.dhcp.ranges: 10.0.3.10-10.0.4.20\n    ipv4.dhcp.expiry: 10\n    ipv4.dhcp.gateway: 10.0.9.1\n"
                    "    dns.domain: a..b\n    dns.search: a,-b\n") ==
          "6:range-outside 7:bad-value 8:bad-gateway 9:bad-value 10:bad-value");
    CHECK(faults_of(v4 + "    ipv4.dhcp.ranges: 10.0.3.20-10.0.3.10\n") == "6:bad-range");
    CHECK(faults_of(v4 + "    ipv4.dhcp.ranges: 10.0.3.10-10.0.3.20,10.0.3.20-10.0.3.30\n") == "6:range-overlap");
    CHECK(faults_of(v4 + "    ipv4.dhcp.ranges: fd42::1-fd42::9\n") == "6:range-outside");
    CHECK(faults_of("    ipv4.address: auto\n    ipv4.dhcp.ranges: 10.0.3.10-10.0.3.20\n") == "5:dhcp-without-subnet");
    CHECK(faults_of("    ipv4.address: none\n    ipv4.dhcp.ranges: 10.0.3.10-10.0.3.20\n") == "5:dhcp-without-subnet");
    const std::string v6 = "    ipv4.address: none\n    ipv6.address: fd42::1/64\n";
    CHECK(faults_of(v6 + "    ipv6.dhcp.ranges: fd42::2-fd42::9\n") == "6:dhcp-stateless");
    CHECK(faults_of(v6 + "    ipv6.dhcp.ranges: fd42::2-fd42::9\n    ipv6.dhcp.stateful: true\n").empty());
    CHECK(faults_of("    ipv4.address: none\n    ipv6.address: fd42::1/48\n    ipv6.dhcp.stateful: true\n") ==
          "6:dhcp-prefix");
    CHECK(faults_of(v4 + "    raw.dnsmasq: \"a\\eb\"\n") == "6:bad-value");
}

TEST_CASE("a NIC's gateway is the one its network's DHCP says") {
    const std::string v4 = "    ipv4.address: 10.0.3.1/24\n    ipv6.address: none\n";
    CHECK(faults_of(v4, ", ipv4.gateway: 10.0.3.1").empty());
    CHECK(faults_of(v4, ", ipv4.gateway: auto").empty());
    CHECK(faults_of(v4, ", ipv4.gateway: 10.0.3.2") == "7:gateway-by-dhcp");
    CHECK(faults_of(v4 + "    ipv4.dhcp.gateway: 10.0.3.2\n", ", ipv4.gateway: 10.0.3.2").empty());
    CHECK(faults_of(v4 + "    ipv4.dhcp: false\n", ", ipv4.gateway: 10.0.3.2").empty());
}

TEST_CASE("lease times are dnsmasq's, from two minutes up") {
    for (const char* good : {"120", "120s", "2m", "1h", "7d", "1w", "infinite"}) CHECK_MESSAGE(is_lease_time(good), good);
    for (const char* bad :
         {"", "0", "119", "1m", "h", "1y", "-1h", "1 h", "1h30m", "99999999999999999999", "20000w", "Infinite"})
        CHECK_MESSAGE(!is_lease_time(bad), bad);
}

TEST_CASE("a domain name has labels") {
    for (const char* good : {"lxd", "lab.example.org", "a-b", "_x.y"}) CHECK_MESSAGE(is_domain(good), good);
    for (const char* bad : {"", ".", "a.", ".a", "a..b", "-a", "a-", "a b", "a/b", "a,b", "ä"})
        CHECK_MESSAGE(!is_domain(bad), bad);
}
