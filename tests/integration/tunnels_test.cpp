#include <doctest/doctest.h>
#include <fmt/format.h>

#include <array>

#include "base/text.h"
#include "lab.h"
#include "segment.h"

// Tunnels of native bridges between sandboxes on one wire, judged by ip, bridge and ping.

namespace ctl::testing {
namespace {

std::string with(std::string text, const std::string& from, const std::string& to) {
    for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size())
        text.replace(at, from.size(), to);
    return text;
}

void give_address(const Lab& host, int number) { host.must(fmt::format("ip addr add 192.0.2.{}/24 dev enp4s0f0", number)); }

/// What the kernel says of a tunnel's interface, by a jq expression.
std::string tunnel(const Lab& host, const std::string& name, const std::string& expression) {
    return std::string(trimmed(host.must(fmt::format("ip -j -d link show {} | jq -r '.[0] | {}'", name, expression))));
}

/// A frame of this size on layer 3 gets through without being cut.
bool carries(const Lab& host, int size, const std::string& address) {
    return host.in_netns("app1", fmt::format("ping -c 1 -W 2 -M do -s {} {}", size - 28, address)).exit_code == 0;
}

/// Two hosts, one network: the other's file has the ends exchanged.
std::string stack(const std::string& keys, int host) {
    return fmt::format(R"(
stack: tunnel
storage_pools: [{{name: default, driver: dir}}]
images: [{{name: busybox, source: {{type: busybox}}}}]
profiles: [{{name: default, devices: {{root: {{type: disk, path: /, pool: default}}}}}}]
networks:
- name: overlay
  config:
    ipv4.address: none
    ipv6.address: none
    tunnel.peer.local: 192.0.2.{0}
    tunnel.peer.remote: 192.0.2.{1}
    {2}
containers:
- name: app1
  image: busybox
  devices: {{eth0: {{type: nic, network: overlay, ipv4.address: 10.10.0.{0}/24}}}}
)",
                       host, 3 - host, keys);
}

}  // namespace

TEST_CASE("12: containers of three hosts are on one segment by a multicast group, and no host names another") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const std::array<Lab, 3> hosts;
    const Segment segment({&hosts[0], &hosts[1], &hosts[2]});
    const std::string example = "manifests/examples/12-vxlan-multicast.yaml";
    const auto before = hosts[0].traces();
    for (int i = 0; i < 3; ++i) {
        const Lab& host = hosts.at(static_cast<std::size_t>(i));
        give_address(host, i + 1);
        host.must_apply(i == 0 ? example
                               : host.write("stack.yaml", with(Lab::source(example), "10.12.0.1/24",
                                                               fmt::format("10.12.0.{}/24", i + 1))));
    }
    CHECK(tunnel(hosts[0], "overlay-lan", ".master") == "overlay");
    CHECK(tunnel(hosts[0], "overlay-lan", "[.linkinfo.info_data | .id, .group, .link, .port, .ttl] | join(\" \")") ==
          "12 239.0.0.12 enp4s0f0 8472 1");
    for (const Lab& host : hosts)
        for (int peer = 1; peer <= 3; ++peer) CHECK(host.pings("app1", fmt::format("10.12.0.{}", peer)));
    CHECK(tunnel(hosts[0], "overlay", ".mtu") == "1400");
    CHECK(carries(hosts[0], 1400, "10.12.0.3"));
    CHECK_FALSE(carries(hosts[0], 1401, "10.12.0.3"));

    hosts[0].must_delete(example);
    hosts[0].check_nothing_left(before);
    CHECK(hosts[1].pings("app1", "10.12.0.3"));
}

TEST_CASE("containers of two hosts with native bridges are on one segment by a tunnel, and its ends change live") {
    CTL_SKIP_WITHOUT_SANDBOX();
    std::string protocol;
    SUBCASE("VXLAN") { protocol = "tunnel.peer.protocol: vxlan"; }
    SUBCASE("GRE") { protocol = "tunnel.peer.protocol: gre"; }
    const Lab one;
    const Lab other;
    CTL_SKIP_IF(protocol.ends_with("gre") && one.sh("ip link add type gretap remote 192.0.2.9").exit_code != 0,
                "this kernel makes no gretap links");
    const Segment segment({&one, &other});
    give_address(one, 1);
    give_address(other, 2);
    const auto before = one.traces();
    const std::string with_id = protocol + "\n    tunnel.peer.id: 10";
    const std::string file = one.write("stack.yaml", stack(with_id, 1));
    one.must_apply(file);
    other.must_apply(other.write("stack.yaml", stack(with_id, 2)));
    CHECK(one.pings("app1", "10.10.0.2"));
    CHECK(other.pings("app1", "10.10.0.1"));
    CHECK(carries(one, 1400, "10.10.0.2"));

    // The other host moves; neither container notices more than that.
    other.must("ip addr add 192.0.2.7/24 dev enp4s0f0");
    const std::string init = one.init_pid("app1");
    const std::string index = tunnel(one, "overlay-peer", ".ifindex");
    one.must_apply(one.write("stack.yaml", with(stack(with_id, 1), "remote: 192.0.2.2", "remote: 192.0.2.7")));
    other.must_apply(other.write("stack.yaml", with(stack(with_id, 2), "local: 192.0.2.2", "local: 192.0.2.7")));
    CHECK(tunnel(one, "overlay-peer", ".linkinfo.info_data.remote") == "192.0.2.7");
    CHECK(tunnel(one, "overlay-peer", ".ifindex") == index);
    CHECK(one.init_pid("app1") == init);
    CHECK(one.pings("app1", "10.10.0.2"));

    one.must_delete(file);
    one.check_nothing_left(before);
}

}  // namespace ctl::testing
