#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <optional>

#include <fmt/format.h>

#include "base/text.h"
#include "lab.h"
#include "support/wait.h"

// Networks that give out addresses and names, from manifests, with busybox's DHCP client and nslookup in real containers.

namespace ctl::testing {
namespace {

std::string text(const Output& output) { return std::string(trimmed(output.out)); }

/// The IPv4 address in a container, without its prefix; "" for none.
std::string address_in(const Lab& lab, const std::string& container) {
    return text(lab.in_netns(container, "ip -j -4 addr show eth0 | jq -r '[.[].addr_info[].local] | join(\" \")'"));
}

bool has_address(const Lab& lab, const std::string& container, const std::string& address) {
    return wait_until([&] { return address_in(lab, container).starts_with(address); });
}

/// What a name stands for, asked from inside a container; "" for nothing. `type`: a or aaaa.
std::string resolve(const Lab& lab, const std::string& container, const std::string& name, const std::string& type = "a") {
    return text(lab.attach(container, "nslookup -type=" + type + " " + name + " | sed -n '/^Name/,$s/^Address: //p'"));
}

bool resolves(const Lab& lab, const std::string& container, const std::string& name, const std::string& address) {
    return wait_until([&] { return resolve(lab, container, name) == address; });
}

std::string dnsmasq_pid(const Lab& lab, const std::string& network) {
    return text(lab.sh("cat /var/lib/ctl/networks/" + network + "/pid"));
}

std::string leases(const Lab& lab, const std::string& network) {
    return lab.must("cat /var/lib/ctl/networks/" + network + "/leases");
}

/// Debian's client for DHCPv6: busybox-static has none.
std::optional<std::string> find_dhclient() {
    const char* home = std::getenv("HOME");
    for (const std::string& root :
         {std::string(), std::string(home != nullptr ? home : "/root") + "/.cache/ctl/debian-bookworm-cloud"})
        if (std::filesystem::exists(root + "/sbin/dhclient")) return root + "/sbin/dhclient";
    return std::nullopt;
}

void check_nothing_serves(const Lab& lab) {
    CHECK(lab.sh("pgrep dnsmasq").out.empty());
    CHECK(lab.sh("ls -d /var/lib/ctl/networks").exit_code != 0);
}

#define CTL_SKIP_WITHOUT_DNSMASQ(lab) CTL_SKIP_IF(lab.sh("command -v dnsmasq").exit_code != 0, "dnsmasq is not installed")

}  // namespace

TEST_CASE("05: containers get addresses, find each other by name, and reach a LAN that does not know them") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    CTL_SKIP_WITHOUT_DNSMASQ(lab);
    lab.add_lan("ens33", {"203.0.113.1/24"}, {"203.0.113.200/24"});
    const std::string example = "manifests/examples/05-nat-bridge.yaml";
    lab.must_apply(example);
    CHECK(has_address(lab, "web", "10.13.5."));
    CHECK(has_address(lab, "db", "10.13.5."));
    const std::string db = address_in(lab, "db");
    CHECK(resolves(lab, "web", "db.lxd", db));
    CHECK(resolve(lab, "web", "db") == db);
    CHECK(resolve(lab, "web", "_gateway.lxd") == "10.13.5.1");
    CHECK(lab.pings("web", "db"));
    CHECK(lab.pings("web", "203.0.113.200"));
    CHECK(wait_until(
        [&] { return lab.in_netns("web", "ip -6 addr show eth0 scope global").out.find("fd42:5::") != std::string::npos; }));
    CHECK(wait_until([&] { return resolve(lab, "web", "db.lxd", "aaaa").starts_with("fd42:5:"); }));
    // What ctl itself says of it.
    CHECK(lab.ctl({"get", "containers"}).out.find(db) != std::string::npos);
    CHECK(lab.ctl({"describe", "network", "lxdbr0"}).out.find(db + " db 00:16:3e:") != std::string::npos);
    lab.must_delete(example);
    check_nothing_serves(lab);
}

TEST_CASE("19: a preseed file, and what lxc show prints of a profile and a network, is a host with two containers") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    CTL_SKIP_WITHOUT_DNSMASQ(lab);
    const auto before = lab.traces();
    const std::string example = "manifests/examples/19-preseed.yaml";
    lab.must_apply(example);
    CHECK(has_address(lab, "front", "10.19.0."));
    CHECK(has_address(lab, "worker", "10.19.0."));
    CHECK(lab.pings("front", "10.19.0.1"));
    CHECK(lab.pings("", "10.19.1.20"));
    CHECK(lab.attach("worker", "tr '\\0' '\\n' < /proc/1/environ").out.find("GREETING=hello\n") != std::string::npos);
    lab.must_delete(example);
    lab.check_nothing_left(before);
    check_nothing_serves(lab);
}

TEST_CASE("addresses of IPv6 are given out where that is asked for, reserved ones to whom they belong") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    CTL_SKIP_WITHOUT_DNSMASQ(lab);
    const auto dhclient = find_dhclient();
    CTL_SKIP_IF(!dhclient, "isc-dhcp-client is not installed, and no test has made a Debian with it yet");
    const std::string file = lab.write("stack.yaml", busybox_ground("six") + R"(networks:
- name: br6
  config:
    ipv4.address: none
    ipv6.address: fd42:77::1/64
    ipv6.dhcp.stateful: true
    ipv6.dhcp.ranges: fd42:77::100-fd42:77::1ff
containers:
- {name: web, image: busybox, devices: {eth0: {type: nic, network: br6, ipv6.address: 'fd42:77::66'}}}
- {name: db, image: busybox, devices: {eth0: {type: nic, network: br6}}}
)");
    lab.must_apply(file);
    lab.write("take", R"sh(#!/bin/sh
case $reason in BOUND6 | RENEW6 | REBIND6) ip -6 addr replace $new_ip6_address/128 dev $interface ;; esac
)sh");
    const auto given = [&](const std::string& container) {
        const std::string files = " -lf /run/" + container + ".leases -pf /run/" + container + ".pid";
        // It speaks from its link-local address, which takes its time to become one.
        REQUIRE(wait_until([&] {
            return lab.in_netns(container, "ip -6 addr show eth0 scope link -tentative | grep -q fe80").exit_code == 0;
        }));
        const Output asked =
            lab.in_netns(container, "chmod 755 /run/lab/take; touch /run/" + container + ".leases; timeout 60 " + *dhclient +
                                        " -6 -1 -cf /dev/null -sf /run/lab/take" + files + " eth0 > /run/dhclient.log 2>&1");
        CHECK_MESSAGE(asked.exit_code == 0, lab.must("cat /run/dhclient.log"));
        lab.must("kill $(cat /run/" + container + ".pid)");
        return text(
            lab.in_netns(container,
                         "ip -6 -j addr show eth0 | jq -r '[.[].addr_info[] | select(.prefixlen == 128 and .scope == "
                         "\"global\") | .local] | join(\" \")'"));
    };
    CHECK(given("web") == "fd42:77::66");
    const std::string db = given("db");
    CHECK_MESSAGE((db.starts_with("fd42:77::1") && db.size() == 12), db);
    CHECK(has(leases(lab, "br6"), " fd42:77::66 "));
    CHECK(has(leases(lab, "br6"), " " + db + " "));
    CHECK(has(lab.ctl({"describe", "network", "br6"}).out, db));
    // The way to it comes with a router advertisement, which comes when it comes.
    CHECK(wait_until([&] { return lab.in_netns("web", "ping -c 1 -W 1 fd42:77::1").exit_code == 0; },
                     std::chrono::seconds(20)));
    lab.must_delete(file);
    check_nothing_serves(lab);
}

TEST_CASE("06: a reserved address stays over a restart and over the end of the lease") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    CTL_SKIP_WITHOUT_DNSMASQ(lab);
    const std::string example = "manifests/examples/06-custom-bridge.yaml";
    lab.must_apply(example);
    CHECK(has_address(lab, "app1", "10.13.37.66"));
    CHECK(resolves(lab, "app1", "app1.lxd", "10.13.37.66"));
    SUBCASE("the container restarts") {
        lab.must("lxc-stop -P /var/lib/ctl/containers -n app1 -k");
        lab.must_apply(example);
    }
    SUBCASE("the server has forgotten the lease, and the client asks anew") {
        lab.must("pkill dnsmasq; rm /var/lib/ctl/networks/lxdbr1337/leases");
        lab.must_apply(example);
        lab.must("pkill -USR2 udhcpc; pkill -USR1 udhcpc");
    }
    CHECK(wait_until([&] { return leases(lab, "lxdbr1337").find(" 10.13.37.66 app1 ") != std::string::npos; }));
    CHECK(has_address(lab, "app1", "10.13.37.66"));
    lab.must_delete(example);
    check_nothing_serves(lab);
}

TEST_CASE("07: names are the manifest's, the clients', or nobody's") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    CTL_SKIP_WITHOUT_DNSMASQ(lab);
    const std::string example = "manifests/examples/07-dns-modes.yaml";
    lab.must_apply(example);
    const auto ask_as = [&](const std::string& container, const std::string& name) {
        REQUIRE(has_address(lab, container, "10.13.7."));
        REQUIRE(lab.attach(container, "killall udhcpc").exit_code == 0);
        const Output asked = lab.attach(container, "udhcpc -n -q -S -i eth0 -x hostname:" + name);
        REQUIRE_MESSAGE(asked.exit_code == 0, asked.err);
        return address_in(lab, container);
    };
    const std::string one = ask_as("one", "forged");
    CHECK(resolve(lab, "one", "one.managed.lab") == one);
    CHECK(resolve(lab, "one", "forged.managed.lab").empty());
    const std::string two = ask_as("two", "chosen");
    CHECK(resolve(lab, "two", "chosen.dynamic.lab") == two);
    CHECK(resolve(lab, "two", "two.dynamic.lab").empty());
    const std::string three = ask_as("three", "chosen");
    CHECK_FALSE(three.empty());
    for (const char* name : {"three", "chosen", "three.lxd", "chosen.lxd"}) CHECK(resolve(lab, "three", name).empty());
    lab.must_delete(example);
    check_nothing_serves(lab);
}

TEST_CASE("a container that comes or goes changes nothing for the others on its network") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    CTL_SKIP_WITHOUT_DNSMASQ(lab);
    const std::string small = Lab::source("manifests/examples/05-nat-bridge.yaml");
    const std::string file = lab.write("stack.yaml", small);
    lab.must_apply(file);
    REQUIRE(has_address(lab, "web", "10.13.5."));
    REQUIRE(has_address(lab, "db", "10.13.5."));
    const std::string pid = dnsmasq_pid(lab, "lxdbr0");
    const std::string before = leases(lab, "lxdbr0");
    lab.write("stack.yaml",
              small + "- name: app\n  image: busybox\n  devices: {eth0: {override: {ipv4.address: 10.13.5.66}}}\n");
    lab.must_apply(file);
    CHECK(has_address(lab, "app", "10.13.5.66"));
    CHECK(dnsmasq_pid(lab, "lxdbr0") == pid);
    const std::string during = leases(lab, "lxdbr0");
    for (const auto line : split(before, '\n')) CHECK_MESSAGE(during.find(line) != std::string::npos, line);
    CHECK(resolves(lab, "web", "app", "10.13.5.66"));
    lab.write("stack.yaml", small);
    lab.must_apply(file);
    CHECK(dnsmasq_pid(lab, "lxdbr0") == pid);
    CHECK(wait_until([&] { return leases(lab, "lxdbr0").find("10.13.5.66") == std::string::npos; }));
    CHECK(resolve(lab, "web", "app").empty());
    lab.must_delete(file);
    check_nothing_serves(lab);
}

TEST_CASE("other settings restart the service, and the plan says so") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    CTL_SKIP_WITHOUT_DNSMASQ(lab);
    const std::string base = "stack: net\nnetworks:\n- name: serve0\n  config: {ipv4.address: 10.70.0.1/24";
    const std::string file = lab.write("stack.yaml", base + "}\n");
    lab.must_apply(file);
    const std::string pid = dnsmasq_pid(lab, "serve0");
    lab.write("stack.yaml", base + ", ipv4.dhcp.expiry: 30m}\n");
    CHECK(lab.planned(file) == std::vector<std::string>{"dns_service/serve0 update restart: options changed"});
    lab.must_apply(file);
    CHECK(dnsmasq_pid(lab, "serve0") != pid);
    lab.must("ip link del serve0");
    lab.must_apply(file);
    CHECK(lab.must("ss -lnu").find("10.70.0.1:53") != std::string::npos);
    SUBCASE("dnsmasq's own words for what it can't take") {
        lab.write("stack.yaml", base + ", raw.dnsmasq: no-such-thing}\n");
        const Output refused = lab.apply(file);
        CHECK(refused.exit_code != 0);
        CHECK(refused.err.find("dnsmasq refuses the settings of network serve0: bad option: \"no-such-thing\"") !=
              std::string::npos);
        CHECK(refused.err.find("nothing was changed") != std::string::npos);
    }
    SUBCASE("dnsmasq's own words for a port that another has") {
        lab.must_delete(file);
        lab.must(
            "ip link add other type bridge && ip addr add 10.70.0.1/24 dev other && ip link set other up && "
            "dnsmasq --conf-file=/dev/null --bind-interfaces --interface=other --except-interface=lo --pid-file=/run/o");
        const Output failed = lab.apply(file);
        CHECK(failed.exit_code != 0);
        CHECK(failed.err.find("Address already in use") != std::string::npos);
        CHECK(failed.err.find("serve0") != std::string::npos);
        lab.must("kill $(cat /run/o); ip link del other");
        lab.must_apply(file);
    }
    lab.must_delete(file);
    check_nothing_serves(lab);
}

TEST_CASE("a killed dnsmasq is running again within moments while ctl watches") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    CTL_SKIP_WITHOUT_DNSMASQ(lab);
    lab.write("stack.yaml", "stack: net\nnetworks:\n- {name: serve0, config: {ipv4.address: 10.70.0.1/24}}\n");
    const Watch watch(lab);
    REQUIRE(wait_until([&] { return !dnsmasq_pid(lab, "serve0").empty(); }));
    REQUIRE(wait_until([&] { return watch.has_said("applied"); }));
    // Timed inside, by a shell that does nothing else.
    const std::string took = lab.must(
        "old=$(pgrep dnsmasq); begin=$(date +%s%N); kill -9 $old;"
        "for i in $(seq 1 2000); do new=$(pgrep dnsmasq); [ -n \"$new\" ] && [ \"$new\" != \"$old\" ] && break; sleep 0.01; "
        "done;"
        "echo $(( ($(date +%s%N) - begin) / 1000000 ))");
    MESSAGE("repaired after ", took, " ms");
    CHECK(std::stol(took) < 2000);
    CHECK(watch.end() == 0);
}

TEST_CASE("an auto address is clear of what the host has, and stays what it is") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    CTL_SKIP_WITHOUT_DNSMASQ(lab);
    const std::string file = lab.write("stack.yaml", "stack: net\nnetworks:\n- {name: auto0}\n");
    const auto address = [&] {
        return text(lab.sh("ip -j -4 addr show auto0 | jq -r '.[0].addr_info[0] | \"\\(.local)/\\(.prefixlen)\"'"));
    };
    lab.must_apply(file);
    const std::string first = address();
    CHECK(first.starts_with("10."));
    lab.must_delete(file);
    // Somebody else has that subnet now.
    lab.must("ip link add other type bridge && ip addr add " + first + " dev other && ip link set other up");
    lab.must_apply(file);
    const std::string second = address();
    CHECK(second.starts_with("10."));
    CHECK(second != first);
    lab.must("ip link del other");
    CHECK(lab.plan(file).exit_code == 0);
    CHECK(address() == second);
    // The journal is lost: the bridge still says what it has.
    lab.must("ip link del auto0");
    lab.must_apply(file);
    CHECK(address() == second);
    lab.must_delete(file);
}

}  // namespace ctl::testing
