#include <doctest/doctest.h>
#include <fmt/format.h>

#include <array>

#include "base/text.h"
#include "lab.h"
#include "segment.h"
#include "support/wait.h"

// A fan over three hosts on one wire, judged by ping, TCP, tcpdump and ovs-vsctl.

namespace ctl::testing {
namespace {

constexpr std::chrono::seconds patience{40};

std::string with(std::string text, const std::string& from, const std::string& to) {
    for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size())
        text.replace(at, from.size(), to);
    return text;
}

/// The address that a container was given, once it has one.
std::string address_of(const Lab& host, const std::string& container) {
    std::string address;
    CHECK(wait_until(
        [&] {
            address =
                trimmed(host.in_netns(container, "ip -j -4 addr show eth0 | jq -r '.[0].addr_info[0].local // \"\"'").out);
            return !address.empty();
        },
        patience));
    return address;
}

/// What somebody at this address of the underlay sees as the address of him who calls.
std::string seen_from(const Lab& server, const Lab& client, const std::string& container, const std::string& address) {
    server.must(R"sh(setsid python3 -c '
import socket
connection, peer = socket.create_server(("", 7777)).accept()
connection.sendall(peer[0].encode())' > /dev/null 2>&1 < /dev/null &
        until ss -Hltn sport = :7777 | grep -q .; do sleep 0.05; done)sh");
    return client.in_netns(container, "timeout 5 bash -c 'cat < /dev/tcp/" + address + "/7777'").out;
}

}  // namespace

TEST_CASE("13: any container reaches any container on any host, and no host knows another") {
    CTL_SKIP_WITHOUT_SANDBOX();
    std::string overlay;
    SUBCASE("10.0.0.0/8") { overlay = "10."; }
    SUBCASE("240.0.0.0/8") { overlay = "240."; }
    const std::array<std::string, 3> own{"3.15", "5.20", "200.7"};
    const std::array<Lab, 3> hosts;
    for (const Lab& host : hosts) host.start_open_vswitch();
    const Segment segment({&hosts[0], &hosts[1], &hosts[2]});
    const std::string example = with(Lab::source("manifests/examples/13-fan.yaml"), "10.0.0.0/8", overlay + "0.0.0/8");
    const auto before = hosts[0].traces();
    const std::string rows = hosts[0].must("ovs-vsctl --bare --columns=_uuid list port | sort");
    std::array<std::string, 3> file;
    std::array<std::string, 3> address;
    for (std::size_t i = 0; i < hosts.size(); ++i) {
        file[i] = hosts[i].write("stack.yaml", with(example, "172.21.3.15", "172.21." + own[i]));
        hosts[i].must_apply(file[i]);
        address[i] = address_of(hosts[i], "app1");
        CHECK(address[i].substr(0, address[i].rfind('.')) == overlay + own[i]);
        CHECK(hosts[i].pings("app2", address[i]));
    }
    for (const Lab& host : hosts)
        for (const auto& target : address) {
            CHECK(host.pings("app1", target));
            CHECK_MESSAGE(host.pings("", target), "from the host");
        }
    for (const auto& peer : own) CHECK_MESSAGE(hosts[0].pings("app1", overlay + peer + ".1"), "another host's bridge");
    // Nobody has this address, and its host is not there either.
    CHECK(hosts[0].in_netns("app1", "ping -c 1 -W 1 " + overlay + "9.9.9").exit_code != 0);
    CHECK_MESSAGE(hosts[0].in_netns("app1", "ping -c 1 -W 2 -M do -s 1422 " + address[2]).exit_code == 0, "a whole packet");
    CHECK(hosts[0].in_netns("app1", "ping -c 1 -W 2 -M do -s 1423 " + address[2]).exit_code != 0);
    CHECK(hosts[0].must("ovs-vsctl list-ports fan0 | wc -l") == "3\n");

    CHECK_MESSAGE(seen_from(hosts[1], hosts[0], "app1", "172.21." + own[1]) == "172.21." + own[0], "outside it is NAT");
    CHECK_MESSAGE(seen_from(hosts[1], hosts[0], "app1", overlay + own[1] + ".1") == address[0], "inside it is not");

    // What a container sends to all its neighbours is for those on its own host.
    hosts[1].must(
        "tcpdump -i enp4s0f0 -n -U -w /run/dump 'udp port 8472' > /dev/null 2> /run/tcpdump < /dev/null & "
        "echo $! > /run/tcpdump.pid; until grep -q listening /run/tcpdump; do sleep 0.05; done");
    REQUIRE(hosts[0]
                .in_netns("app1",
                          "python3 -c 'import socket; s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW); "
                          "s.bind((\"eth0\", 0)); s.send(b\"\\xff\" * 6 + b\"\\x02\" * 6 + b\"\\x88\\xb5\" + bytes(50))'")
                .exit_code == 0);
    CHECK(hosts[0].pings("app1", address[1]));
    const auto captured = [&](const std::string& filter) {
        return std::string(trimmed(hosts[1].sh("tcpdump -n -r /run/dump '" + filter + "' 2> /dev/null").out));
    };
    CHECK(wait_until([&] { return !captured("udp[28:2] = 0x0800").empty(); }));
    CHECK(captured("udp[28:2] = 0x88b5").empty());
    hosts[1].must("kill $(cat /run/tcpdump.pid)");

    hosts[0].must_delete(file[0]);
    hosts[0].check_nothing_left(before);
    CHECK(hosts[0].must("ovs-vsctl --bare --columns=_uuid list port | sort") == rows);
    CHECK(hosts[1].pings("app1", address[2]));
}

}  // namespace ctl::testing
