#include "model/proxy.h"

#include <doctest/doctest.h>

#include "stacks.h"

// What proxy devices become, and which are refused. That connections come through is root-proxy's to show.

using namespace ctl;
using namespace ctl::model;
using namespace ctl::testing;

namespace {

std::string with(const std::string& keys) {
    return R"(stack: lab
storage_pools: [{name: default, driver: dir}]
images: [{name: busybox, source: {type: busybox}}]
networks: [{name: br0, config: {ipv4.address: 10.0.0.1/24, ipv6.address: none}}]
profiles: [{name: default, devices: {root: {type: disk, path: /, pool: default}}}]
containers:
- name: web
  image: busybox
  devices:
    eth0: {type: nic, network: br0, ipv4.address: 10.0.0.5}
    p: {type: proxy, )" +
           keys + "}\n";
}

const NftTable& nat_table(const Lowered& result) { return object<NftTable>(result, "ctl_proxy_web"); }

}  // namespace

TEST_CASE("an end of a proxy is read as LXD writes it") {
    const auto tcp = ProxyEnd::parse("tcp:192.0.2.1:80,8000-8002");
    REQUIRE(tcp);
    CHECK(tcp->address->str() == "192.0.2.1");
    CHECK(tcp->ports == std::vector<std::uint16_t>{80, 8000, 8001, 8002});
    CHECK(ProxyEnd::parse("udp:[fd00::1]:53")->address->str() == "fd00::1");
    CHECK(ProxyEnd::parse("unix:/run/a.sock")->path == "/run/a.sock");
    CHECK(ProxyEnd::parse("unix:@name")->path == "@name");
    CHECK(ProxyEnd::parse("tcp:0.0.0.0:1")->is_wildcard());
    CHECK(ProxyEnd::parse("tcp:[::]:1")->is_wildcard());
    for (const std::string text : {"tcp:1.2.3.4", "tcp:host:80", "tcp:1.2.3.4:0", "tcp:1.2.3.4:80-70", "tcp:fd00::1:80",
                                   "sctp:1.2.3.4:80", "unix:relative", "unix:", "unix:@", "tcp:1.2.3.4:1-65535", "", "tcp"})
        CHECK_MESSAGE(!ProxyEnd::parse(text), text);
}

TEST_CASE("a proxy is an object that stands on its container and is made anew with its network") {
    const auto result = lowered(with("listen: 'tcp:127.0.0.1:80', connect: 'unix:/run/x', bind: instance, security.uid: 5"));
    const auto& proxy = object<Proxy>(result, "web:p");
    CHECK(proxy.listen == "tcp:127.0.0.1:80");
    CHECK(proxy.connect == "unix:/run/x");
    CHECK(proxy.bind == "container");
    CHECK(proxy.options->at("security.uid") == "5");
    CHECK(proxy.running == true);
    const ObjectId id{ObjectKind::proxy, "web:p"};
    CHECK(has_need(result, id, {{ObjectKind::container, "web"}, Bond::order}));
    CHECK(has_need(result, id, {{ObjectKind::netns, "web"}, Bond::rebuild}));
}

TEST_CASE("with nat it is rules that lead to the container's fixed address") {
    const auto chains =
        *nat_table(lowered(with("nat: true, listen: 'tcp:192.0.2.1:80', connect: 'tcp:0.0.0.0:8080'"))).chains;
    CHECK(chains.at("prerouting").ends_with("ip daddr 192.0.2.1 tcp dport 80 dnat ip to 10.0.0.5:8080"));
    CHECK(chains.at("output_nat").ends_with("ip daddr 192.0.2.1 tcp dport 80 dnat ip to 10.0.0.5:8080"));
    CHECK(chains.at("postrouting").ends_with("ip saddr 10.0.0.5 ip daddr 10.0.0.5 ct status dnat masquerade"));
    const auto same =
        *nat_table(lowered(with("nat: true, listen: 'udp:192.0.2.1:53-54', connect: 'udp:10.0.0.5:53-54'"))).chains;
    CHECK(same.at("prerouting").ends_with("ip daddr 192.0.2.1 udp dport 53-54 dnat ip to 10.0.0.5"));
    const auto each =
        *nat_table(lowered(with("nat: true, listen: 'tcp:192.0.2.1:80-81', connect: 'tcp:10.0.0.5:90-91'"))).chains;
    CHECK(each.at("prerouting").find("dport 80 dnat ip to 10.0.0.5:90\n") != std::string::npos);
    CHECK(each.at("prerouting").ends_with("dport 81 dnat ip to 10.0.0.5:91"));
}

TEST_CASE("proxies that can't be are refused") {
    const auto rule = [](const std::string& keys) { return faults(with(keys)); };
    const std::string tcp = "listen: 'tcp:127.0.0.1:80', connect: 'tcp:127.0.0.1:80'";
    CHECK(rule(tcp).empty());
    CHECK(rule("listen: 'tcp:127.0.0.1:80'") == "11:missing-key");
    CHECK(rule("listen: 'tcp:127.0.0.1', connect: 'tcp:127.0.0.1:80'") == "11:bad-proxy");
    CHECK(rule("listen: 'tcp:127.0.0.1:80', connect: 'tcp:127.0.0.1:80-81'") == "11:bad-proxy");
    CHECK(rule("listen: 'udp:127.0.0.1:80', connect: 'tcp:127.0.0.1:80'") == "11:bad-proxy");
    CHECK(rule(tcp + ", uid: 5") == "11:bad-proxy");
    CHECK(rule(tcp + ", nat: true") == "11:bad-proxy");
    CHECK(rule("nat: true, listen: 'tcp:0.0.0.0:80', connect: 'tcp:10.0.0.5:80'") == "11:bad-proxy");
    CHECK(rule("nat: true, listen: 'tcp:[fd00::1]:80', connect: 'tcp:10.0.0.5:80'") == "11:bad-proxy");
    CHECK(rule("nat: true, bind: instance, listen: 'tcp:192.0.2.1:80', connect: 'tcp:10.0.0.5:80'") == "11:bad-proxy");
    CHECK(rule("nat: true, proxy_protocol: true, listen: 'tcp:192.0.2.1:80', connect: 'tcp:10.0.0.5:80'") == "11:bad-proxy");
}
