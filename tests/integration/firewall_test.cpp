#include <doctest/doctest.h>

#include <fmt/format.h>

#include "base/text.h"
#include "lab.h"
#include "support/wait.h"

// NAT, ACLs and forwards with real packets between containers, the host and a LAN, judged by ping, TCP and nft.

namespace ctl::testing {
namespace {

const std::string ground = busybox_ground("fire") + R"(containers:
- {name: web, image: busybox, devices: {eth0: {type: nic, name: eth0, network: fire0, ipv4.address: 10.28.0.5}}}
- {name: db, image: busybox, devices: {eth0: {type: nic, name: eth0, network: fire0, ipv4.address: 10.28.0.6}}}
)";

const std::string lan = "192.0.2.50";
const std::string host = "192.0.2.1";
const std::string web = "10.28.0.5";
const std::string db = "10.28.0.6";

/// The containers on a network with these keys, and what else is declared.
std::string stack(const std::string& keys, const std::string& more = "") {
    return ground + "networks:\n- name: fire0\n  config: {ipv4.address: 10.28.0.1/24, ipv4.dhcp: false" +
           (keys.empty() ? "" : ", ") + keys + "}\n" + more;
}

enum class Answer { connected, refused, silence, odd };

/// A host with a LAN behind ens33, where 192.0.2.50 is.
class FireLab : public Lab {
public:
    FireLab() { add_lan("ens33", {host + "/24"}, {lan + "/24"}); }

    void declare(const std::string& keys, const std::string& more = "") const {
        must_apply(write("stack.yaml", stack(keys, more)));
    }

    /// Somebody on the LAN knows by which way the containers would be reached.
    void tell_lan_the_way() const { REQUIRE(lan_sh("ip route replace 10.28.0.0/24 via " + host).exit_code == 0); }

    [[nodiscard]] bool lan_pings(const std::string& address) const {
        return lan_sh("ping -c 1 -W 1 " + address).exit_code == 0;
    }

    static constexpr const char* serve = R"sh(setsid python3 -c '
import socket, sys
listener = socket.create_server(("", int(sys.argv[2])))
while True:
    connection, peer = listener.accept()
    connection.sendall((sys.argv[1] + " " + peer[0] + "\n").encode())
    connection.close()' )sh";

    /// Answers TCP connections with its name and the peer's address, in a container ("" is the LAN).
    void listen(const std::string& container, int port) const {
        const std::string command =
            fmt::format("{}{} {} > /dev/null 2>&1 < /dev/null &", serve, container.empty() ? "lan" : container, port);
        const std::string ready = fmt::format("ss -Hltn sport = :{} | grep -q .", port);
        const auto in = [&](const std::string& script) {
            return container.empty() ? lan_sh(script) : in_netns(container, script);
        };
        REQUIRE(in(command).exit_code == 0);
        REQUIRE(wait_until([&] { return in(ready).exit_code == 0; }));
    }

    static std::string connecting(const std::string& address, int port) {
        return fmt::format("timeout 2 bash -c 'cat < /dev/tcp/{}/{}'", address, port);
    }
    static Answer answer(const Output& output) {
        if (output.exit_code == 0) return Answer::connected;
        if (output.exit_code == 124) return Answer::silence;
        return output.err.find("refused") != std::string::npos ? Answer::refused : Answer::odd;
    }
    [[nodiscard]] Output from_lan(const std::string& address, int port) const { return lan_sh(connecting(address, port)); }
    [[nodiscard]] Output from(const std::string& container, const std::string& address, int port) const {
        return container.empty() ? sh(connecting(address, port)) : in_netns(container, connecting(address, port));
    }

    [[nodiscard]] std::string rules() const { return must("nft list ruleset"); }
};

}  // namespace

TEST_CASE("containers reach the LAN by NAT, and the LAN does not reach them even if it knows the way") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const FireLab lab;
    const auto before = lab.traces();
    lab.tell_lan_the_way();
    lab.declare("ipv4.nat: true");
    CHECK(lab.pings("web", lan));
    CHECK(lab.pings("web", db));
    CHECK(lab.pings("", web));
    CHECK_FALSE(lab.lan_pings(web));
    lab.listen("", 8080);
    CHECK(lab.from("web", lan, 8080).out == "lan " + host + "\n");
    CHECK(lab.rules().find("ip saddr 10.28.0.0/24 ip daddr != 10.28.0.0/24 masquerade") != std::string::npos);

    SUBCASE("the address and the order of NAT are changed live") {
        lab.must("ip addr add 192.0.2.77/24 dev ens33");
        const Facts facts = lab.facts();
        lab.declare("ipv4.nat: true, ipv4.nat.address: 192.0.2.77, ipv4.nat.order: after");
        CHECK(lab.from("web", lan, 8080).out == "lan 192.0.2.77\n");
        CHECK(lab.rules().find("priority srcnat + 5") != std::string::npos);
        CHECK(changed_keys(facts, lab.facts()).empty());
    }
    SUBCASE("without the firewall it is only NAT") {
        lab.declare("ipv4.nat: true, ipv4.firewall: false");
        CHECK(lab.lan_pings(web));
        CHECK(lab.from("web", lan, 8080).out == "lan " + host + "\n");
    }
    SUBCASE("without NAT the LAN sees the containers' own addresses and reaches them") {
        lab.declare("");
        CHECK(lab.from("web", lan, 8080).out == "lan " + web + "\n");
        CHECK(lab.lan_pings(web));
        CHECK(lab.rules().empty());
    }
    SUBCASE("a network that does not route is for its containers and the host") {
        lab.declare("ipv4.routing: false");
        CHECK(lab.in_netns("web", "ping -c 1 -W 1 " + lan).exit_code != 0);
        CHECK_FALSE(lab.lan_pings(web));
        CHECK(lab.pings("web", db));
        CHECK(lab.pings("", web));
        lab.declare("");
        CHECK(lab.pings("web", lan));
    }
    SUBCASE("what others had in nftables is left as it was, whatever we do") {
        lab.must(
            "nft 'table inet mine { chain input { type filter hook input priority 0; tcp dport 4444 counter drop; }; }'");
        const std::string mine = lab.must("nft -s list table inet mine");
        lab.declare("ipv4.nat: true, ipv4.nat.order: after");
        CHECK(lab.must("nft -s list table inet mine") == mine);
        lab.must("nft delete table inet mine");
    }
    lab.must_delete("/run/lab/stack.yaml");
    CHECK(lab.rules().empty());
    for (const auto& trace : lab.traces())
        CHECK_MESSAGE((before.contains(trace) || trace.find("/images/") != std::string::npos), "left behind: ", trace);
}

TEST_CASE("a table of somebody else under our name is a conflict, and nothing is changed") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const FireLab lab;
    lab.must("nft 'table inet ctl_fire0 { chain x { accept; }; }'");
    const std::string before = lab.rules();
    const Output applied = lab.apply(lab.write("stack.yaml", stack("ipv4.nat: true")));
    CHECK(applied.exit_code != 0);
    CHECK_MESSAGE(applied.err.find("nft_table/ctl_fire0 is already on this host and is not ours") != std::string::npos,
                  applied.out, applied.err);
    CHECK(lab.rules() == before);
    CHECK(lab.sh("ip link show fire0").exit_code != 0);
}

TEST_CASE("what somebody flushes or adds is put back by watch, and by the next apply") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const FireLab lab;
    lab.declare("ipv4.nat: true");
    const std::string rules = lab.rules();
    lab.must("nft add rule inet ctl_fire0 forward accept");
    CHECK(lab.planned("/run/lab/stack.yaml") == std::vector<std::string>{"nft_table/ctl_fire0 update live: chains drifted"});
    lab.must_apply("/run/lab/stack.yaml");
    CHECK(lab.rules() == rules);

    const Watch watch(lab);
    const auto is_back = [&] { return lab.rules() == rules; };
    for (const std::string damage : {"nft flush ruleset", "nft delete table inet ctl_fire0",
                                     "nft flush table inet ctl_fire0", "nft add rule inet ctl_fire0 forward accept"}) {
        CAPTURE(damage);
        // Whether it has begun to listen yet can't be seen from outside, only by what it does.
        const bool repaired = wait_until([&] {
            lab.must(damage + " || true");
            return wait_until(is_back, std::chrono::seconds{5});
        });
        CHECK_MESSAGE(repaired, watch.log());
    }
    // From the flush to the listing that shows all again, by a shell that does nothing else.
    const std::string milliseconds = lab.must(
        "start=$(date +%s%N); nft flush ruleset; while ! nft list chain inet ctl_fire0 postrouting > /dev/null 2>&1; do :; "
        "done; echo $((($(date +%s%N) - start) / 1000000))");
    MESSAGE("a flush was repaired in ms: ", std::string(trimmed(milliseconds)));
    CHECK(watch.end() == 0);
}

TEST_CASE("an ACL lets through what it allows and refuses the rest, each way as it says") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const FireLab lab;
    lab.tell_lan_the_way();
    lab.declare("security.acls: guard, security.acls.default.egress.action: drop", R"(network_acls:
- name: guard
  ingress:
  - {action: allow, protocol: tcp, destination_port: 80, source: 192.0.2.0/24}
  - {action: drop, protocol: tcp, destination_port: 81}
  - {action: allow, state: disabled, protocol: tcp, destination_port: 82}
  egress:
  - {action: allow, state: logged, protocol: icmp4, icmp_type: 8}
  - {action: reject, protocol: tcp, destination: 192.0.2.50, destination_port: 8081}
  - {action: allow, protocol: tcp, destination_port: 8080-8081}
)");
    for (const int port : {80, 81, 82}) lab.listen("web", port);
    for (const int port : {8080, 8081, 8082}) lab.listen("", port);
    CHECK(lab.answer(lab.from_lan(web, 80)) == Answer::connected);
    CHECK(lab.answer(lab.from_lan(web, 81)) == Answer::silence);
    CHECK(lab.answer(lab.from_lan(web, 82)) == Answer::refused);
    CHECK(lab.answer(lab.from("web", lan, 8080)) == Answer::connected);
    CHECK(lab.answer(lab.from("web", lan, 8081)) == Answer::refused);
    CHECK(lab.answer(lab.from("web", lan, 8082)) == Answer::silence);
    CHECK(lab.pings("web", lan));
    CHECK_FALSE(lab.lan_pings(web));
    CHECK_MESSAGE(lab.answer(lab.from("", web, 82)) == Answer::refused, "from the host itself");
    CHECK_MESSAGE(lab.answer(lab.from("db", web, 82)) == Answer::connected, "between neighbours no ACL of a bridge stands");

    // Changed live: no container is touched.
    const Facts facts = lab.facts();
    lab.declare("security.acls: guard", R"(network_acls:
- name: guard
  ingress: [{action: allow}]
  egress: [{action: allow}]
)");
    CHECK(lab.answer(lab.from_lan(web, 82)) == Answer::connected);
    CHECK(lab.answer(lab.from("web", lan, 8082)) == Answer::connected);
    CHECK(changed_keys(facts, lab.facts()).empty());
    lab.must_delete("/run/lab/stack.yaml");
    CHECK(lab.rules().empty());
}

TEST_CASE("a forward leads to the containers it names from the LAN, the host and their neighbours, and nothing else does") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const FireLab lab;
    lab.tell_lan_the_way();
    lab.must("ip addr add 192.0.2.10/32 dev ens33");
    lab.declare("ipv4.nat: true", R"(network_forwards:
- network: fire0
  listen_address: 192.0.2.10
  config: {target_address: 10.28.0.6}
  ports:
  - {protocol: tcp, listen_port: "8080,9090", target_address: 10.28.0.5, target_port: 80}
  - {protocol: tcp, listen_port: 81, target_address: 10.28.0.5}
)");
    lab.listen("web", 80);
    lab.listen("web", 81);
    lab.listen("db", 22);
    CHECK(lab.from_lan("192.0.2.10", 8080).out == "web " + lan + "\n");
    CHECK(lab.from_lan("192.0.2.10", 9090).out == "web " + lan + "\n");
    CHECK(lab.from_lan("192.0.2.10", 81).out == "web " + lan + "\n");
    CHECK_MESSAGE(lab.from_lan("192.0.2.10", 22).out == "db " + lan + "\n", "all else leads to the default target");
    CHECK_MESSAGE(lab.answer(lab.from_lan(web, 80)) == Answer::silence, "not by the container's own address");
    CHECK_MESSAGE(lab.answer(lab.from_lan(host, 8080)) == Answer::refused, "not by another address of the host");
    CHECK_MESSAGE(lab.from("", "192.0.2.10", 8080).out.starts_with("web "), "from the host");
    CHECK_MESSAGE(lab.from("db", "192.0.2.10", 8080).out == "web 10.28.0.1\n", "from a neighbour");
    lab.declare("ipv4.nat: true");
    CHECK(lab.answer(lab.from_lan("192.0.2.10", 8080)) != Answer::connected);
}

}  // namespace ctl::testing
