#include <doctest/doctest.h>

#include "base/text.h"
#include "lab.h"
#include "support/skip.h"
#include "support/wait.h"

// Types of NICs, judged by ip and ping on both sides.

namespace ctl::testing {
namespace {

const std::string ground = busybox_ground("lab");

/// Waits for an answer: new addresses of IPv6 on the LAN are looked for twice before they are used.
bool lan_pings(const Lab& lab, const std::string& address) {
    return wait_until([&] { return lab.lan_sh("ping -c 1 -W 1 " + address).exit_code == 0; }, std::chrono::seconds{10});
}

std::string proxies(const Lab& lab) {
    return lab.line(
        "for family in -4 -6; do ip -N -j $family neigh show proxy | jq -r 'sort_by(.dst)[] | \"\\(.dst) \\(.dev) "
        "\\(.protocol)\"'; done");
}

}  // namespace

TEST_CASE("a routed container shares the host's subnet, and what is behind it is routed to it") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    lab.add_lan("ens33", {"192.0.2.1/24", "fd42:2::1/64"}, {"192.0.2.2/24", "fd42:2::2/64"});
    const auto before = lab.traces();
    const std::string routes_before = lab.must("ip route; ip -6 route");
    const std::string example = "manifests/examples/routed.yaml";
    lab.must_apply(example);

    CHECK(proxies(lab) == "192.0.2.20 ens33 199\nfd42:2::20 ens33 199");
    CHECK(lan_pings(lab, "192.0.2.20"));
    CHECK(lan_pings(lab, "fd42:2::20"));
    CHECK(lab.pings("web", "192.0.2.2"));
    CHECK(lab.in_netns("web", "ping -6 -c 1 -W 5 fd42:2::2").exit_code == 0);
    CHECK(lab.pings("", "192.0.2.20"));
    CHECK(lab.line("ip -j route get 10.7.0.9 | jq -r '.[0].gateway'") == "192.0.2.20");
    CHECK_MESSAGE(
        lab.in_netns("web", "ip addr add 192.0.2.99/32 dev lo && ping -c 1 -W 1 -I 192.0.2.99 192.0.2.2").exit_code != 0,
        "an address that is not the container's gets through");

    SUBCASE("other addresses and routes come live, and the old ones go") {
        const std::string init = lab.init_pid("web");
        std::string changed = replaced(Lab::source(example), "192.0.2.20", "'192.0.2.20,192.0.2.21'");
        changed = replaced(changed, "ipv4.routes: 10.7.0.0/24", "ipv4.routes: 10.9.0.0/24");
        changed = replaced(changed, "      ipv6.address: fd42:2::20\n", "");
        lab.must_apply(lab.write("stack.yaml", changed));
        CHECK(proxies(lab) == "192.0.2.20 ens33 199\n192.0.2.21 ens33 199");
        CHECK(lan_pings(lab, "192.0.2.20"));
        CHECK(lan_pings(lab, "192.0.2.21"));
        CHECK(lab.line("ip -j route get 10.9.0.9 | jq -r '.[0].gateway'") == "192.0.2.20");
        CHECK(lab.line("ip -j route show 10.7.0.0/24") == "[]");
        CHECK(lab.init_pid("web") == init);
    }
    SUBCASE("what somebody deletes is put back") {
        lab.must("ip neigh del proxy 192.0.2.20 dev ens33; ip route del 192.0.2.20");
        CHECK(lab.plan(example).exit_code == 2);
        lab.must_apply(example);
        CHECK(lan_pings(lab, "192.0.2.20"));
    }
    SUBCASE("the host's end of the link is deleted, and everything on it comes back") {
        const std::string end = lab.line("ip -j route show 192.0.2.20 | jq -r '.[0].dev'");
        lab.must("ip link del " + end);
        lab.must_apply(example);
        CHECK(lan_pings(lab, "192.0.2.20"));
        CHECK(lab.pings("web", "192.0.2.2"));
    }
    lab.must_delete(example);
    lab.check_nothing_left(before);
    CHECK(proxies(lab).empty());
    CHECK(lab.must("ip route; ip -6 route") == routes_before);
}

TEST_CASE("a p2p container is at the other end of a cable, and reached by the routes that it says") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    lab.must("ip addr add 10.8.0.254/32 dev lo");
    const auto before = lab.traces();
    const std::string file = lab.write("stack.yaml", ground + R"(
containers:
- name: web
  image: busybox
  devices:
    eth0: {type: nic, nictype: p2p, host_name: to-web, ipv4.address: 10.8.0.1/24, ipv4.gateway: 10.8.0.254, ipv4.routes: 10.8.0.0/24}
)");
    lab.must_apply(file);
    CHECK(lab.line("ip -j route show 10.8.0.0/24 | jq -r '.[0]|.dev,.scope'") == "to-web\nlink");
    CHECK(lab.pings("", "10.8.0.1"));
    CHECK(lab.pings("web", "10.8.0.254"));
    lab.must_delete(file);
    lab.check_nothing_left(before);
}

TEST_CASE("a subnet behind a bridged container is routed to it") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    const std::string stack = ground + R"(
networks: [{name: lab0, config: {ipv4.address: 10.28.0.1/24, ipv4.dhcp: false, ipv6.address: none}}]
containers:
- name: web
  image: busybox
  devices:
    eth0: {type: nic, network: lab0, ipv4.address: 10.28.0.9, ipv4.routes: 10.7.0.0/24}
)";
    const std::string file = lab.write("stack.yaml", stack);
    lab.must_apply(file);
    CHECK(lab.in_netns("web", "ip addr add 10.7.0.1/32 dev lo").exit_code == 0);
    CHECK(lab.pings("", "10.7.0.1"));
    const auto facts = lab.facts();
    const std::string without = lab.write("without.yaml", replaced(stack, ", ipv4.routes: 10.7.0.0/24", ""));
    REQUIRE(lab.apply(without).exit_code == 0);
    CHECK(changed_keys(facts, lab.facts()) == std::set<std::string>{"route/10.7.0.0/24"});
    lab.must_delete(without);
    CHECK(lab.line("ip -j route show proto 199") == "[]");
}

TEST_CASE("limits of what comes into containers are set, changed live and taken away") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    const std::string stack = ground + R"(
networks: [{name: lab0, config: {ipv4.address: 10.28.0.1/24, ipv4.dhcp: false, ipv6.address: none}}]
containers:
- name: web
  image: busybox
  devices:
    eth0: {type: nic, network: lab0, host_name: to-web, ipv4.address: 10.28.0.9, limits.ingress: 10Mbit}
- name: db
  image: busybox
  devices:
    eth0: {type: nic, nictype: p2p, host_name: to-db, limits.ingress: 1Gbit}
)";
    const auto ceiling = [&](const std::string& link) {
        return lab.line("tc -s class show dev " + link + " | grep -o 'ceil [^ ]*'");
    };
    lab.must_apply(lab.write("stack.yaml", stack));
    CHECK(ceiling("to-web") == "ceil 10Mbit");
    CHECK(ceiling("to-db") == "ceil 1Gbit");
    CHECK(lab.pings("", "10.28.0.9"));
    CHECK_MESSAGE(lab.must("tc -s class show dev to-web").find("Sent 0 bytes") == std::string::npos,
                  "the container's packets pass by the class");

    const auto facts = lab.facts();
    lab.must_apply(lab.write("stack.yaml", replaced(stack, "10Mbit", "20Mbit")));
    CHECK(ceiling("to-web") == "ceil 20Mbit");
    CHECK_MESSAGE(lab.must("tc -s class show dev to-web").find("Sent 0 bytes") == std::string::npos,
                  "the same class, with what it has counted");
    lab.must("tc qdisc del dev to-web root");
    lab.must_apply("/run/lab/stack.yaml");
    CHECK(ceiling("to-web") == "ceil 20Mbit");
    lab.must_apply(lab.write("stack.yaml", replaced(stack, ", limits.ingress: 10Mbit", "")));
    CHECK(lab.line("tc class show dev to-web").empty());
    CHECK(ceiling("to-db") == "ceil 1Gbit");
    CHECK(changed_keys(facts, lab.facts()).empty());
    lab.must_delete("/run/lab/stack.yaml");
}

TEST_CASE("a limit that this kernel can't keep is refused before anything is changed, in the kernel's words") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    const bool can_police =
        lab.sh("ip link add probe0 type veth && tc qdisc add dev probe0 ingress && tc filter add dev probe0 parent ffff: "
               "protocol all u32 match u32 0 0 police rate 1mbit burst 64k drop")
            .exit_code == 0;
    lab.must("ip link del probe0");
    const auto before = lab.traces();
    const std::string file = lab.write("stack.yaml", ground + R"(
containers:
- name: web
  image: busybox
  devices:
    eth0: {type: nic, nictype: p2p, host_name: to-web, limits.max: 10Mbit}
)");
    const Output applied = lab.apply(file);
    if (can_police) {
        CHECK(applied.exit_code == 0);
        CHECK(lab.must("tc filter show dev to-web ingress").find("10Mbit") != std::string::npos);
        CHECK(lab.plan(file).exit_code == 0);
        lab.must_delete(file);
    } else {
        CHECK(applied.exit_code != 0);
        CHECK_MESSAGE(applied.err.find("this kernel can't limit what a link receives") != std::string::npos, applied.err);
        CHECK(applied.err.find("modprobe -a sch_ingress cls_u32 act_police") != std::string::npos);
    }
    lab.check_nothing_left(before);
}

TEST_CASE("an ipvlan is reached by its addresses, with its parent's MAC") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    lab.add_lan("ens33", {"192.0.2.1/24"}, {"192.0.2.2/24"});
    CTL_SKIP_IF(lab.sh("ip link add link ens33 name probe0 type ipvlan mode l3s && ip link del probe0").exit_code != 0,
                "this kernel makes no ipvlan links");
    const auto before = lab.traces();
    const std::string stack = ground + R"(
containers:
- name: web
  image: busybox
  devices:
    eth0: {type: nic, nictype: ipvlan, parent: ens33, mode: MODE, ipv4.address: 192.0.2.20}
)";
    for (const std::string mode : {"l3s", "l2"}) {
        INFO(mode);
        const std::string file = lab.write("stack.yaml", replaced(stack, "MODE", mode));
        lab.must_apply(file);
        CHECK(lan_pings(lab, "192.0.2.20"));
        CHECK(lab.pings("web", "192.0.2.2"));
        CHECK(lab.line("cat /sys/class/net/ens33/address") ==
              std::string(trimmed(lab.in_netns("web", "ip -j link show eth0 | jq -r '.[0].address'").out)));
        lab.must_delete(file);
        lab.check_nothing_left(before);
    }
}

TEST_CASE("NICs on a VLAN of an interface share that VLAN's link, which goes with the last of them") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    lab.add_lan("ens33", {}, {});
    CTL_SKIP_IF(lab.sh("ip link add link ens33 name ens33.9 type vlan id 9 && ip link del ens33.9").exit_code != 0,
                "this kernel makes no vlan links");
    REQUIRE(lab.lan_sh("ip link add link lan0 name lan0.5 type vlan id 5 && ip addr add 192.0.5.2/24 dev lan0.5 && "
                       "ip link set lan0.5 up")
                .exit_code == 0);
    const auto before = lab.traces();
    const std::string web = R"(- name: web
  image: busybox
  devices:
    eth0: {type: nic, nictype: macvlan, parent: ens33, vlan: 5, ipv4.address: 192.0.5.20/24}
)";
    const std::string db = R"(- name: db
  image: busybox
  devices:
    eth0: {type: nic, nictype: macvlan, parent: ens33, vlan: 5, ipv4.address: 192.0.5.21/24}
)";
    lab.must_apply(lab.write("stack.yaml", ground + "containers:\n" + web + db));
    CHECK(lab.pings("web", "192.0.5.2"));
    CHECK(lab.pings("web", "192.0.5.21"));
    lab.must_apply(lab.write("stack.yaml", ground + "containers:\n" + web));
    CHECK(lab.pings("web", "192.0.5.2"));
    lab.must_delete("/run/lab/stack.yaml");
    lab.check_nothing_left(before);
}

}  // namespace ctl::testing
