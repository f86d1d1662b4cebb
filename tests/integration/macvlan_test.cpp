#include <doctest/doctest.h>
#include <fmt/format.h>

#include "base/text.h"
#include "lab.h"
#include "support/skip.h"
#include "support/wait.h"

// Containers with macvlans on a LAN that has a DHCP server of its own, judged by ip, ping and udhcpc's lease.

namespace ctl::testing {
namespace {

constexpr std::chrono::seconds patience{30};

/// The LAN's DHCP server gives out addresses from this one on, and knows no other.
void serve_dhcp(const Lab& lab, int first) {
    lab.must("test ! -e /run/lan.pid || kill $(cat /run/lan.pid)");
    REQUIRE(wait_until([&] { return lab.sh("test ! -e /run/lan.pid || ! kill -0 $(cat /run/lan.pid)").exit_code == 0; },
                       patience));
    const Output started = lab.lan_sh(
        fmt::format("dnsmasq --conf-file=/dev/null --port=0 --interface=lan0 --bind-interfaces --dhcp-authoritative "
                    "--dhcp-range=192.0.2.{},192.0.2.{},2m --dhcp-leasefile=/run/lan.leases.{} --pid-file=/run/lan.pid",
                    first, first + 5, first));
    REQUIRE_MESSAGE(started.exit_code == 0, started.err);
}

std::string ipv4_of(const Lab& lab, const std::string& container) {
    return std::string(
        trimmed(lab.in_netns(container, "ip -j -4 addr show dev eth0 | jq -r '[.[].addr_info[].local] | join(\" \")'").out));
}

/// The address it has got from the LAN: 192.0.2.5x.
std::string lease(const Lab& lab, const std::string& container, const std::string& beginning) {
    REQUIRE(wait_until([&] { return ipv4_of(lab, container).starts_with(beginning); }, patience));
    return ipv4_of(lab, container);
}

std::string host_routes(const Lab& lab) {
    return std::string(trimmed(lab.must("ip -j route show dev macvlan3 | jq -r '[.[].dst] | join(\" \")'")));
}

}  // namespace

TEST_CASE("02: a container with a macvlan gets its address from the LAN, which reaches it, and the host does not") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    lab.add_lan("ens33", {"192.0.2.1/24"}, {"192.0.2.2/24"});
    serve_dhcp(lab, 50);
    const auto before = lab.traces();
    const std::string example = "manifests/examples/02-macvlan.yaml";
    CHECK(lab.plan(example).out.find("the host itself can't reach test2 on ens33") != std::string::npos);
    lab.must_apply(example);
    const std::string address = lease(lab, "test2", "192.0.2.5");
    CHECK(lab.lan_sh("ping -c 1 -W 2 " + address).exit_code == 0);
    CHECK(lab.sh("ping -c 2 -i 0.2 -W 1 " + address).exit_code != 0);
    CHECK(lab.plan(example).exit_code == 0);
    lab.must_delete(example);
    lab.check_nothing_left(before);
}

TEST_CASE("03: the host reaches a container with a leased address by a route of its own, which follows the lease") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    lab.add_lan("ens33", {"192.0.2.1/24"}, {"192.0.2.2/24"});
    serve_dhcp(lab, 50);
    const auto before = lab.traces();
    const std::string example = "manifests/examples/03-macvlan-dhcp.yaml";
    const std::string routes_before = lab.must("ip route");
    const Output applied = lab.apply(example);
    REQUIRE_MESSAGE(applied.exit_code == 0, applied.err);
    CHECK(applied.out.find("can't reach") == std::string::npos);
    const std::string first = lease(lab, "test3", "192.0.2.5");

    SUBCASE("at every apply") {
        lab.must_apply(example);
        CHECK(host_routes(lab) == first);
        CHECK(lab.pings("", first));
        CHECK(lab.lan_sh("ping -c 1 -W 2 " + first).exit_code == 0);
    }
    SUBCASE("by watch") {
        lab.write("stack.yaml", Lab::source(example));
        const Watch watch(lab);
        CHECK(wait_until([&] { return host_routes(lab) == first; }, patience));
        CHECK(lab.pings("", first));

        serve_dhcp(lab, 70);
        REQUIRE(lab.attach("test3", "killall -USR2 udhcpc; killall -USR1 udhcpc").exit_code == 0);
        const std::string second = lease(lab, "test3", "192.0.2.7");
        CHECK_MESSAGE(wait_until([&] { return host_routes(lab) == second; }, patience), watch.log());
        CHECK(lab.pings("", second));
        REQUIRE(watch.end() == 0);
    }
    lab.must_delete(example);
    lab.check_nothing_left(before);
    CHECK(lab.must("ip route") == routes_before);
}

}  // namespace ctl::testing
