#include <doctest/doctest.h>

#include <fmt/format.h>

#include "base/text.h"
#include "lab.h"
#include "support/wait.h"

// What a container may send with addresses that aren't its own: frames, ARP, neighbour discovery and packets forged with
// the host's tools in its namespace, looked for at its neighbour and at the host.

namespace ctl::testing {
namespace {

const std::string own_mac = "00:16:3e:00:00:01";
const std::string forged_mac = "00:16:3e:66:66:66";

std::string stack(const std::string& driver, const std::string& security, const std::string& other_security) {
    return fmt::format(R"(stack: guarded
storage_pools: [{{name: default, driver: dir}}]
images: [{{name: busybox, source: {{type: busybox}}}}]
networks: [{{name: sec0, config: {{bridge.driver: {}, ipv4.address: 10.29.0.1/24, ipv4.dhcp: false, ipv6.address: "fd29::1/64", ipv6.dhcp: false}}}}]
profiles: [{{name: default, devices: {{root: {{type: disk, path: /, pool: default}}}}}}]
containers:
- name: rogue
  image: busybox
  devices:
    eth0: {{type: nic, name: eth0, network: sec0, hwaddr: "00:16:3e:00:00:01", ipv4.address: 10.29.0.5, ipv6.address: "fd29::5"{}}}
- name: peer
  image: busybox
  devices: {{eth0: {{type: nic, name: eth0, network: sec0, ipv4.address: 10.29.0.6, ipv6.address: "fd29::6"{}}}}}
)",
                       driver, security.empty() ? "" : ", " + security, other_security.empty() ? "" : ", " + other_security);
}

class SecurityLab : public Lab {
public:
    explicit SecurityLab(std::string driver) : driver_(std::move(driver)) {
        if (is_on_ovs()) start_open_vswitch();
    }

    [[nodiscard]] bool is_on_ovs() const { return driver_ == "openvswitch"; }

    [[nodiscard]] std::string file(const std::string& security, const std::string& other_security = "") const {
        return write("stack.yaml", stack(driver_, security, other_security));
    }
    void declare(const std::string& security, const std::string& other_security = "") const {
        must_apply(file(security, other_security));
    }

    /// What keeps the NICs to their addresses, as its own tools list it. Nothing while the switch doesn't answer.
    [[nodiscard]] std::string filters() const {
        if (!is_on_ovs()) return must("nft list ruleset");
        return sh("ovs-ofctl -O OpenFlow14 --no-stats --names dump-flows sec0 cookie=0x63746c0000000000/0xffffff0000000000")
            .out;
    }
    [[nodiscard]] std::string isolated_ports() const {
        return must(is_on_ovs() ? "ovs-vsctl --bare --columns=name find port protected=true | grep -c ."
                                : "bridge -j -d link | jq -r '[.[] | select(.isolated)] | length'");
    }

    [[nodiscard]] bool reaches(const std::string& options) const {
        return in_netns("rogue", "ping -c 1 -W 1 " + options).exit_code == 0;
    }
    /// Reached within a few seconds: after a change of addresses neighbours have to find each other again.
    [[nodiscard]] bool comes_to_reach(const std::string& options) const {
        return wait_until([&] { return reaches(options); }, std::chrono::seconds{5});
    }

    /// Sends bytes as a frame out of the rogue's NIC; `frame` is Python.
    void send(const std::string& frame) const {
        const Output sent = in_netns("rogue", fmt::format(R"sh(python3 -c '
import socket, struct
def mac(text): return bytes.fromhex(text.replace(":", ""))
def ip6(text): return socket.inet_pton(socket.AF_INET6, text)
def checked(source, target, body):
    pseudo = ip6(source) + ip6(target) + struct.pack("!II", len(body), 58)
    words = pseudo + body[:2] + bytes(2) + body[4:]
    total = sum(struct.unpack("!%dH" % (len(words) // 2), words))
    while total >> 16: total = (total & 0xffff) + (total >> 16)
    return body[:2] + struct.pack("!H", 0xffff - total) + body[4:]
def icmp6(source, target, body, sender="{}"):
    packet = struct.pack("!IHBB", 6 << 28, len(body), 58, 255) + ip6(source) + ip6(target) + checked(source, target, body)
    return mac("33:33:00:00:00:01") + mac(sender) + struct.pack("!H", 0x86dd) + packet
def arp(ether, sender, ip):
    return (mac("ff:ff:ff:ff:ff:ff") + mac(ether) + struct.pack("!HHHBBH", 0x0806, 1, 0x0800, 6, 4, 1) + mac(sender)
            + socket.inet_aton(ip) + bytes(6) + socket.inet_aton("10.29.0.6"))
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind(("eth0", 0))
s.send({})')sh",
                                                          own_mac, frame));
        REQUIRE_MESSAGE(sent.exit_code == 0, sent.err);
    }

    /// Whether the peer gets the frame; `filter` is how tcpdump recognises it. What comes after it, which is let through,
    /// says when it would have been there.
    [[nodiscard]] bool arrives(const std::string& frame, const std::string& filter) const {
        must("rm -f /run/dump");
        const Output started = in_netns("peer",
                                        "tcpdump -p -n -l -i eth0 'arp or icmp6 or ether proto 0x88b5' -w /run/dump -U "
                                        "> /dev/null 2> /run/dump.log < /dev/null & echo $! > /run/dump.pid");
        REQUIRE(started.exit_code == 0);
        REQUIRE(wait_until([&] { return sh("grep -q listening /run/dump.log").exit_code == 0; }));
        send(frame);
        const auto seen = [&](const std::string& what) {
            return !trimmed(sh("tcpdump -n -r /run/dump '" + what + "' 2> /dev/null").out).empty();
        };
        REQUIRE(wait_until([&] {
            must(
                "python3 -c 'import socket; s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW); s.bind((\"sec0\", 0)); "
                "s.send(b\"\\xff\" * 6 + b\"\\x02\" * 6 + b\"\\x88\\xb5\" + bytes(50))'");
            return seen("ether proto 0x88b5");
        }));
        const bool found = seen(filter);
        must("kill $(cat /run/dump.pid)");
        return found;
    }

private:
    std::string driver_;
};

/// The kinds of bridges, each a subcase.
#define CTL_ON_EACH_BRIDGE(driver)                           \
    std::string driver;                                      \
    SUBCASE("a bridge of the kernel") { driver = "native"; } \
    SUBCASE("a bridge of Open vSwitch") { driver = "openvswitch"; }

const std::string forged_arp = R"(arp("00:16:3e:00:00:01", "00:16:3e:66:66:66", "10.29.0.1"))";
const std::string stolen_arp = R"(arp("00:16:3e:00:00:01", "00:16:3e:00:00:01", "10.29.0.1"))";
const std::string forged_advertisement =
    R"(icmp6("fd29::5", "ff02::1", bytes([136, 0, 0, 0, 0x20, 0, 0, 0]) + ip6("fd29::5") + bytes([2, 1]) + mac("00:16:3e:66:66:66")))";
const std::string stolen_advertisement =
    R"(icmp6("fd29::5", "ff02::1", bytes([136, 0, 0, 0, 0x20, 0, 0, 0]) + ip6("fd29::1") + bytes([2, 1]) + mac("00:16:3e:00:00:01")))";
const std::string router_advertisement =
    R"(icmp6("fe80::216:3eff:fe00:1", "ff02::1", bytes([134, 0, 0, 0, 64, 0, 7, 8]) + bytes(8)))";

const std::string is_forged_arp = "arp and arp[8:4] = 0x00163e66";
const std::string is_stolen_arp = "arp and ether src 00:16:3e:00:00:01 and arp[14:4] = 0x0a1d0001";
const std::string is_advertisement =
    "icmp6 and ip6[40] = 136 and ether src 00:16:3e:00:00:01 and ether dst 33:33:00:00:00:01";
const std::string is_router = "icmp6 and ip6[40] = 134 and ether src 00:16:3e:00:00:01";

/// What was touched between the two. Addresses are left out: a NIC takes another one of the prefix that it hears of.
std::string touched(const Facts& before, const Facts& after) {
    std::string text;
    for (const auto& key : changed_keys(before, after))
        if (!key.ends_with(" addresses")) text += key + "; ";
    return text;
}

}  // namespace

TEST_CASE("frames with a forged MAC are dropped where the NIC is filtered, and only there") {
    CTL_SKIP_WITHOUT_SANDBOX();
    CTL_ON_EACH_BRIDGE(driver);
    const SecurityLab lab(driver);
    lab.declare("");
    const Facts facts = lab.facts();
    REQUIRE(lab.comes_to_reach("10.29.0.6"));
    REQUIRE(lab.in_netns("rogue", "ip link set eth0 address " + forged_mac).exit_code == 0);
    CHECK_MESSAGE(lab.comes_to_reach("10.29.0.6"), "without the filter a forged MAC does");
    REQUIRE(lab.in_netns("rogue", "ip link set eth0 address " + own_mac).exit_code == 0);
    CHECK(lab.arrives(forged_arp, is_forged_arp));
    CHECK(lab.arrives(forged_advertisement, is_advertisement));

    lab.declare("security.mac_filtering: true");
    CHECK(lab.comes_to_reach("10.29.0.6"));
    CHECK(lab.comes_to_reach("10.29.0.1"));
    CHECK(lab.comes_to_reach("fd29::6"));
    CHECK_FALSE(lab.arrives(forged_arp, is_forged_arp));
    CHECK_FALSE(lab.arrives(forged_advertisement, is_advertisement));
    CHECK(lab.arrives(stolen_arp, is_stolen_arp));
    REQUIRE(lab.in_netns("rogue", "ip link set eth0 address " + forged_mac).exit_code == 0);
    CHECK_FALSE(lab.reaches("10.29.0.6"));
    CHECK_FALSE(lab.reaches("10.29.0.1"));
    REQUIRE(lab.in_netns("rogue", "ip link set eth0 address " + own_mac).exit_code == 0);
    CHECK(lab.comes_to_reach("10.29.0.6"));
    // Putting in and taking out the filter touches no container and no link.
    CHECK(touched(facts, lab.facts()) == "");

    lab.must_delete("/run/lab/stack.yaml");
    if (!lab.is_on_ovs()) CHECK(lab.filters().empty());
}

TEST_CASE("a NIC whose addresses are filtered can't speak with others'") {
    CTL_SKIP_WITHOUT_SANDBOX();
    CTL_ON_EACH_BRIDGE(driver);
    const SecurityLab lab(driver);
    lab.declare("");
    REQUIRE(lab.in_netns("rogue", "ip addr add 10.29.0.77/24 dev eth0; ip addr add fd29::77/64 nodad dev eth0").exit_code ==
            0);
    REQUIRE(lab.comes_to_reach("-I 10.29.0.77 10.29.0.6"));
    REQUIRE(lab.comes_to_reach("-I fd29::77 fd29::6"));
    CHECK(lab.arrives(stolen_arp, is_stolen_arp));
    CHECK(lab.arrives(stolen_advertisement, is_advertisement));
    CHECK(lab.arrives(router_advertisement, is_router));

    const std::string file = lab.file("security.ipv4_filtering: true, security.ipv6_filtering: true");
    REQUIRE(lab.apply(file).exit_code == 0);
    CHECK(lab.comes_to_reach("-I 10.29.0.5 10.29.0.6"));
    CHECK(lab.comes_to_reach("-I fd29::5 fd29::6"));
    CHECK(lab.comes_to_reach("-I fd29::5 fd29::1"));
    CHECK_FALSE(lab.reaches("-I 10.29.0.77 10.29.0.6"));
    CHECK_FALSE(lab.reaches("-I fd29::77 fd29::6"));
    CHECK_FALSE(lab.arrives(stolen_arp, is_stolen_arp));
    CHECK_FALSE(lab.arrives(stolen_advertisement, is_advertisement));
    CHECK_FALSE(lab.arrives(router_advertisement, is_router));
    CHECK(lab.filters().find(lab.is_on_ovs() ? "nw_src=10.29.0.5 " : "ip saddr != 10.29.0.5 drop") != std::string::npos);
}

TEST_CASE("isolated ports reach the host and those that aren't isolated, but not each other") {
    CTL_SKIP_WITHOUT_SANDBOX();
    CTL_ON_EACH_BRIDGE(driver);
    const SecurityLab lab(driver);
    lab.declare("security.port_isolation: true", "security.port_isolation: true");
    const Facts facts = lab.facts();
    CHECK(lab.comes_to_reach("10.29.0.1"));
    CHECK_FALSE(lab.reaches("10.29.0.6"));
    CHECK(lab.isolated_ports() == "2\n");
    lab.declare("security.port_isolation: true");
    CHECK(lab.comes_to_reach("10.29.0.6"));
    lab.declare("security.port_isolation: true", "security.port_isolation: true");
    CHECK_FALSE(lab.reaches("10.29.0.6"));
    // The flag is changed live.
    CHECK(touched(facts, lab.facts()) == "");

    // A bridge that is made again takes the flag with it; so does a port that somebody took out.
    lab.must(lab.is_on_ovs() ? "ovs-vsctl del-br sec0" : "ip link del sec0");
    lab.must_apply("/run/lab/stack.yaml");
    CHECK(lab.isolated_ports() == "2\n");
    lab.must(lab.is_on_ovs() ? "ovs-vsctl set port $(ovs-vsctl list-ports sec0 | head -n 1) protected=false"
                             : "bridge link set dev $(bridge -j link | jq -r '.[0].ifname') isolated off");
    CHECK(lab.planned("/run/lab/stack.yaml").size() == 1);
    lab.must_apply("/run/lab/stack.yaml");
    CHECK(lab.isolated_ports() == "2\n");
}

TEST_CASE("flows that somebody deletes are put back by watch, and the flows of others stay") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const SecurityLab lab("openvswitch");
    static_cast<void>(
        lab.file("security.mac_filtering: true, security.ipv4_filtering: true, security.ipv6_filtering: true"));
    const Watch watch(lab);
    REQUIRE_MESSAGE(wait_until([&] { return lab.reaches("10.29.0.1"); }, std::chrono::seconds{60}), watch.log());
    const std::string flows = lab.filters();
    CHECK(!flows.empty());
    SUBCASE("by hand") {
        lab.must("ovs-ofctl add-flow sec0 cookie=7,priority=3,udp,tp_dst=9,actions=drop");
        lab.must("ovs-ofctl del-flows sec0 cookie=0x63746c0000000000/0xffffff0000000000");
        CHECK_MESSAGE(wait_until([&] { return lab.filters() == flows; }), watch.log());
        lab.must("ovs-ofctl dump-flows sec0 | grep -q 'cookie=0x7,.*tp_dst=9'");
    }
    SUBCASE("with the switch, which forgets them when it restarts") {
        lab.must(R"(kill $(cat /run/openvswitch/ovs-vswitchd.pid)
            while test -e /run/openvswitch/ovs-vswitchd.pid; do sleep 0.05; done
            export OVS_RUNDIR=/run/openvswitch OVS_LOGDIR=/run/openvswitch OVS_DBDIR=/run/openvswitch
            ovs-vswitchd unix:$OVS_RUNDIR/db.sock --detach --pidfile --log-file > /dev/null 2>&1)");
        CHECK_MESSAGE(wait_until([&] { return lab.filters() == flows; }, std::chrono::seconds{40}), watch.log());
    }
    CHECK(lab.comes_to_reach("10.29.0.1"));
    CHECK(watch.end() == 0);
}

}  // namespace ctl::testing
