#include <doctest/doctest.h>

#include <algorithm>

#include "base/text.h"
#include "lab.h"
#include "segment.h"
#include "support/wait.h"

// Networks of Open vSwitch in sandboxes that have one of their own, judged by ovs-vsctl, ping and tcpdump.

namespace ctl::testing {
namespace {

constexpr std::chrono::seconds patience{40};

std::string trim(const std::string& text) { return std::string(trimmed(text)); }

/// All rows of the tables that we write to, without what counts and without what the switch says of itself.
std::string rows(const Lab& lab) {
    return lab.must(
        "for table in bridge port interface controller; do ovs-vsctl --bare --columns=_uuid list $table; done | sort");
}

/// A host whose enp4s0f1 leads to a switch of others, with VLAN 409 and VLAN 20 untagged at a namespace each.
void add_switch(const Lab& lab) {
    lab.must(R"(set -e
        ip link add enp4s0f1 type veth peer name sw-trunk
        ip link set sw-trunk up
        ovs-vsctl add-br switch -- set bridge switch datapath_type=netdev -- add-port switch sw-trunk
        for vlan in 409 20; do
            ip netns add lan$vlan
            ip link add sw$vlan type veth peer name lan0 netns lan$vlan
            ip link set sw$vlan up
            ip -n lan$vlan link set lan0 up
            ovs-vsctl add-port switch sw$vlan tag=$vlan
        done
        ip -n lan409 addr add 10.40.9.200/24 dev lan0
        ip -n lan20 addr add 10.40.20.200/24 dev lan0)");
}

bool netns_pings(const Lab& lab, const std::string& netns, const std::string& address) {
    return wait_until([&] { return lab.sh("ip netns exec " + netns + " ping -c 1 -W 1 " + address).exit_code == 0; },
                      patience);
}

bool is_silent(const Lab& lab, const std::string& netns, const std::string& address) {
    return lab.sh("ip netns exec " + netns + " ping -c 2 -i 0.2 -W 1 " + address).exit_code != 0;
}

std::string with(std::string text, const std::string& from, const std::string& to) {
    for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size())
        text.replace(at, from.size(), to);
    return text;
}

/// The same example as the other host has it.
std::string mirrored(std::string text) {
    text = with(with(with(text, "192.0.2.11", "@"), "192.0.2.12", "192.0.2.11"), "@", "192.0.2.12");
    return with(with(text, ".0.11/24}", ".0.12/24}"), "app1", "app2");
}

/// Hears as many bytes as it is told to, by TCP or UDP.
constexpr const char* listener = R"py(import socket, sys
is_udp, total = sys.argv[1] == "udp", int(sys.argv[2])
s = socket.socket(type=socket.SOCK_DGRAM if is_udp else socket.SOCK_STREAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.settimeout(10)
s.bind(("", 7777))
if not is_udp:
    s.listen()
    s = s.accept()[0]
    s.settimeout(10)
heard = 0
while heard < total:
    data = s.recv(65536)
    if not data: break
    heard += len(data)
print(heard)
)py";
constexpr const char* speaker = R"py(import socket, sys
is_udp, total, address = sys.argv[1] == "udp", int(sys.argv[2]), sys.argv[3]
s = socket.socket(type=socket.SOCK_DGRAM if is_udp else socket.SOCK_STREAM)
s.settimeout(10)
s.connect((address, 7777))
for i in range(total // 1000): s.send(bytes(1000)) if is_udp else s.sendall(bytes(1000))
)py";

/// Whether what is said in one network namespace is heard in another; the host's is "".
bool hears(const Lab& lab, const std::string& from, const std::string& to, const std::string& address,
           const std::string& protocol) {
    const auto at = [&](const std::string& where, const std::string& script) {
        return where.empty() ? lab.sh(script) : lab.in_netns(where, script);
    };
    const std::string hear = lab.write("hear.py", listener);
    const std::string say = lab.write("say.py", speaker);
    // A socket's buffer has room for so many datagrams; a stream is long enough to be sent in big pieces.
    const std::string words = protocol + (protocol == "udp" ? " 20000" : " 1000000");
    at(to, "rm -f /run/heard; setsid python3 " + hear + " " + words + " > /run/heard 2>&1 < /dev/null &");
    const std::string ready = "ss -Hln -A " + protocol + " sport = :7777 | grep -q .";
    if (!wait_until([&] { return at(to, ready).exit_code == 0; })) return false;
    at(from, "python3 " + say + " " + words + " " + address);
    if (!wait_until([&] { return lab.sh("test -s /run/heard").exit_code == 0; }, patience)) return false;
    return trim(lab.must("cat /run/heard")) == words.substr(4);
}

/// A bridge with an address and a container on it.
const std::string small_stack = busybox_ground("small") + R"(networks:
- {name: ovs0, config: {bridge.driver: openvswitch, ipv4.address: 10.60.0.1/24, ipv4.dhcp: false, ipv6.address: none}}
containers:
- name: web
  image: busybox
  devices: {eth0: {type: nic, network: ovs0, host_name: web0, ipv4.address: 10.60.0.2}}
)";

}  // namespace

TEST_CASE(
    "01: a container on a bridge of Open vSwitch gets its address from us and reaches the LAN, which does not reach it") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    lab.start_open_vswitch();
    lab.add_lan("eth9", {"192.0.2.1/24"}, {"192.0.2.2/24"});
    const auto before = lab.traces();
    const std::string rows_before = rows(lab);
    const std::string example = "manifests/examples/01-open-vswitch-network.yaml";
    lab.must_apply(example);

    const auto addresses = [&] {
        return trim(
            lab.must("ip -j addr show ovs-br0 | jq -r '[.[].addr_info[] | select(.scope == \"global\") | "
                     "\"\\(.local)/\\(.prefixlen)\"] | sort | join(\" \")'"));
    };
    const std::string chosen = addresses();
    CHECK_MESSAGE((chosen.starts_with("10.") && chosen.find("/24 fd42:") != std::string::npos), chosen);
    std::string own;
    CHECK(wait_until(
        [&] {
            own = trim(lab.in_netns("test", "ip -j -4 addr show eth0 | jq -r '.[0].addr_info[0].local // \"\"'").out);
            return !own.empty();
        },
        patience));
    CHECK(own.substr(0, own.rfind('.')) == chosen.substr(0, chosen.find('/')).substr(0, own.rfind('.')));
    CHECK(trim(lab.must("ovs-vsctl list-ports ovs-br0 | wc -l")) == "1");
    CHECK(trim(lab.must("ovs-vsctl port-to-br $(ovs-vsctl list-ports ovs-br0)")) == "ovs-br0");
    CHECK_MESSAGE(lab.pings("test", "192.0.2.2"), "through NAT");
    CHECK(lab.lan_sh("ping -c 1 -W 1 " + own).exit_code != 0);
    lab.must_apply(example);
    CHECK(addresses() == chosen);

    lab.must_delete(example);
    lab.check_nothing_left(before);
    CHECK(rows(lab) == rows_before);
}

TEST_CASE("09: containers in a VLAN of an Open vSwitch bridge, whose frames leave the NIC tagged") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    lab.start_open_vswitch();
    add_switch(lab);
    const auto before = lab.traces();
    const std::string rows_before = rows(lab);
    const std::string example = "manifests/examples/09-ovs-vlan-fake-bridge.yaml";
    lab.must_apply(example);

    CHECK(trim(lab.must("ovs-vsctl list-br | sort | tr '\\n' ' '")) == "ctr-bridge switch vlan409");
    CHECK(trim(lab.must("ovs-vsctl br-to-parent vlan409")) == "ctr-bridge");
    CHECK(trim(lab.must("ovs-vsctl br-to-vlan vlan409")) == "409");
    CHECK(trim(lab.must("ovs-vsctl get-controller ctr-bridge")) == "tcp:127.0.0.1:6653");
    CHECK(trim(lab.must("ovs-vsctl get-fail-mode ctr-bridge")) == "standalone");
    CHECK(trim(lab.must("ovs-vsctl list-ports vlan409 | wc -l")) == "1");

    // Until the switch has given its controller up, it forwards nothing.
    CHECK_MESSAGE(netns_pings(lab, "lan409", "10.40.9.11"), "from the VLAN behind the NIC");
    CHECK_MESSAGE(lab.pings("app1", "10.40.9.200"), "to it");
    CHECK_MESSAGE(netns_pings(lab, "lan409", "10.40.9.1"), "to the host's address in it");
    CHECK(netns_pings(lab, "lan20", "10.40.20.12"));
    CHECK(netns_pings(lab, "lan20", "10.40.20.13"));
    // The right addresses in the wrong VLAN find nobody.
    lab.must("ip -n lan20 addr add 10.40.9.201/24 dev lan0");
    CHECK(is_silent(lab, "lan20", "10.40.9.11"));
    lab.must("ip -n lan20 addr del 10.40.9.201/24 dev lan0");

    const std::string seen = lab.must(
        "timeout 10 tcpdump -i sw-trunk -n -e -c 2 'vlan 409 and icmp' 2> /run/tcpdump & "
        "for i in $(seq 50); do grep -q listening /run/tcpdump && break; sleep 0.1; done; "
        "ip netns exec lan409 ping -c 3 -i 0.2 10.40.9.11 > /dev/null; wait");
    CHECK_MESSAGE(seen.find("vlan 409") != std::string::npos, seen);
    const std::string app3 = trim(lab.must("ovs-vsctl --bare --columns=name find port vlan_mode=native-untagged"));
    CHECK(trim(lab.must("ovs-vsctl get port " + app3 + " trunks tag | tr '\\n' ' '")) == "[409] 20");

    lab.must_delete(example);
    lab.check_nothing_left(before);
    CHECK(rows(lab) == rows_before);
    CHECK(trim(lab.must("ip -j link show enp4s0f1 | jq -r '.[0].ifname'")) == "enp4s0f1");
}

TEST_CASE("09: a VLAN changes on the running container's port, and nothing else") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    lab.start_open_vswitch();
    add_switch(lab);
    const std::string text = Lab::source("manifests/examples/09-ovs-vlan-fake-bridge.yaml");
    const std::string file = lab.write("stack.yaml", text);
    lab.must_apply(file);
    CHECK(netns_pings(lab, "lan20", "10.40.20.12"));
    const Facts facts = lab.facts();
    const std::string all = rows(lab);

    lab.write("stack.yaml", with(text, "vlan: 20, ipv4.address: 10.40.20.12", "vlan: 21, ipv4.address: 10.40.20.12"));
    const auto planned = lab.planned(file);
    REQUIRE(planned.size() == 1);
    CHECK(planned.front().find("update live: tag changed") != std::string::npos);
    lab.must_apply(file);
    CHECK(changed_keys(facts, lab.facts()).empty());
    CHECK(rows(lab) == all);
    CHECK(is_silent(lab, "lan20", "10.40.20.12"));
}

TEST_CASE("10 and 11: containers of two hosts are on one segment by a tunnel") {
    CTL_SKIP_WITHOUT_SANDBOX();
    std::string example;
    std::string net;
    SUBCASE("GRE") {
        example = "manifests/examples/10-gre-two-hosts.yaml";
        net = "10.10.0.";
    }
    SUBCASE("VXLAN") {
        example = "manifests/examples/11-vxlan-two-hosts.yaml";
        net = "10.11.0.";
    }
    const Lab one;
    const Lab other;
    for (const Lab* lab : {&one, &other}) lab->start_open_vswitch();
    const Segment segment({&one, &other});
    const auto before = one.traces();
    const std::string rows_before = rows(one);
    one.must_apply(example);
    const std::string mirror = other.write("stack.yaml", mirrored(Lab::source(example)));
    other.must_apply(mirror);

    CHECK(one.pings("", "192.0.2.12"));
    CHECK(one.pings("app1", net + "12"));
    CHECK(other.pings("app2", net + "11"));
    CHECK(trim(one.in_netns("app1", "ip -j link show eth0 | jq '.[0].mtu'").out) == "1400");
    CHECK_MESSAGE(one.in_netns("app1", "ping -c 1 -W 2 -M do -s 1372 " + net + "12").exit_code == 0, "a whole packet");
    CHECK_MESSAGE(one.in_netns("app1", "ping -c 1 -W 2 -M do -s 1373 " + net + "12").exit_code != 0, "one that is too big");
    // The same neighbour, seen by its own MAC: layer 2.
    const std::string mac = trim(other.in_netns("app2", "ip -j link show eth0 | jq -r '.[0].address'").out);
    CHECK(one.in_netns("app1", "ip neigh show " + net + "12").out.find(mac) != std::string::npos);

    one.must_delete(example);
    one.check_nothing_left(before);
    CHECK(rows(one) == rows_before);
}

TEST_CASE("Open vSwitch is needed only by those who declare it") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    const Output plan = lab.plan(lab.write("ovs.yaml", small_stack));
    CHECK(plan.exit_code == 10);
    CHECK_MESSAGE(plan.err.find("needs Open vSwitch") != std::string::npos, plan.err);
    CHECK(plan.err.find("apt-get install openvswitch-switch") != std::string::npos);
    CHECK(lab.plan("manifests/examples/quickstart.yaml").exit_code == 2);
    const Output apply = lab.apply(lab.write("ovs.yaml", small_stack));
    CHECK(apply.exit_code == 10);
    CHECK(lab.sh("ip link show ovs0").exit_code != 0);
    CHECK(lab.sh("test -e /var/lib/ctl/pools/default").exit_code != 0);
}

TEST_CASE("a bridge or port that somebody deletes is put back, and the containers run on") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    lab.start_open_vswitch();
    const std::string file = lab.write("stack.yaml", small_stack);
    const auto is_well = [&] { return lab.sh("ping -c 1 -W 1 10.60.0.2").exit_code == 0; };

    SUBCASE("by the next apply") {
        lab.must_apply(file);
        CHECK(lab.pings("", "10.60.0.2"));
        const std::string init = lab.init_pid("web");
        SUBCASE("a bridge") { lab.must("ovs-vsctl del-br ovs0"); }
        SUBCASE("a port") { lab.must("ovs-vsctl del-port web0"); }
        SUBCASE("the container's link") { lab.must("ip link del web0"); }
        CHECK(!is_well());
        lab.must_apply(file);
        CHECK(lab.pings("", "10.60.0.2"));
        CHECK(lab.must("sysctl -n net.ipv4.conf.ovs0.forwarding") == "1\n");
        CHECK(lab.init_pid("web") == init);
        lab.must_delete(file);
    }
    SUBCASE("by watch") {
        const Watch watch(lab);
        REQUIRE_MESSAGE(wait_until(is_well, std::chrono::seconds{60}), watch.log());
        SUBCASE("a bridge") { lab.must("ovs-vsctl del-br ovs0"); }
        SUBCASE("a port") { lab.must("ovs-vsctl del-port web0"); }
        SUBCASE("while the database restarts") {
            lab.must(R"(kill $(cat /run/openvswitch/ovsdb-server.pid)
                while test -e /run/openvswitch/db.sock; do sleep 0.05; done
                export OVS_RUNDIR=/run/openvswitch OVS_LOGDIR=/run/openvswitch OVS_DBDIR=/run/openvswitch
                ovsdb-server $OVS_DBDIR/conf.db --remote=punix:$OVS_RUNDIR/db.sock --detach --pidfile --log-file > /dev/null 2>&1
                ovs-vsctl del-port web0)");
        }
        CHECK_MESSAGE(wait_until(is_well, patience), watch.log());
        CHECK(watch.end() == 0);
    }
}

TEST_CASE("ports of others are left alone, whatever becomes of ours") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    lab.start_open_vswitch();
    lab.must("ip link add foreign type veth peer name foreign-peer");
    const std::string file = lab.write("stack.yaml", small_stack);
    lab.must_apply(file);
    lab.must("ovs-vsctl add-port ovs0 foreign");
    CHECK(lab.plan(file).exit_code == 0);
    CHECK(lab.ctl({"describe", "network", "ovs0"}).out.find("Stale") == std::string::npos);
    lab.must("ip link del foreign");
    CHECK(wait_until([&] {
        return lab.ctl({"describe", "network", "ovs0"}).out.find("Stale ports  foreign\n") != std::string::npos;
    }));
    // One of ours whose container is gone: its record is enough to find it.
    lab.must_apply(lab.write("stack.yaml", small_stack.substr(0, small_stack.find("containers:"))));
    CHECK(trim(lab.must("ovs-vsctl list-ports ovs0")) == "foreign");
}

TEST_CASE("an interface of the host is a port for as long as the manifest says, never goes down and stays the host's") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    lab.start_open_vswitch();
    lab.must("for name in ext0 ext1; do ip link add $name type veth peer name $name-far && ip link set $name up; done");
    lab.must("ip monitor link > /run/monitor 2>&1 & echo $! > /run/monitor.pid");
    const auto with_ports = [&](const std::string& ports) {
        return lab.write("stack.yaml",
                         with(small_stack, "{bridge.driver: openvswitch", "{bridge.driver: openvswitch" + ports));
    };
    const auto ports = [&] { return lab.line("ovs-vsctl list-ports ovs0 | tr '\\n' ' '"); };
    const auto state = [&](const std::string& link) {
        return lab.line("ip -j link show " + link + " | jq -r '.[0] | \"\\(.flags | index(\"UP\") != null) \\(.master)\"'");
    };
    lab.must_apply(with_ports(", bridge.external_interfaces: ext0"));
    CHECK(ports() == "ext0 web0");
    const std::string bridge = lab.line("ovs-vsctl get bridge ovs0 _uuid");
    lab.must_apply(with_ports(", bridge.external_interfaces: 'ext0,ext1'"));
    CHECK(ports() == "ext0 ext1 web0");
    lab.must_apply(with_ports(", bridge.external_interfaces: ext1"));
    CHECK(ports() == "ext1 web0");
    CHECK(state("ext0") == "true null");
    CHECK(lab.line("ovs-vsctl get bridge ovs0 _uuid") == bridge);
    lab.must_apply(with_ports(""));
    CHECK(ports() == "web0");
    lab.must_apply(with_ports(", bridge.external_interfaces: ext0"));
    lab.must_delete("/run/lab/stack.yaml");
    CHECK(state("ext0") == "true null");
    CHECK(state("ext1") == "true null");
    lab.must("kill $(cat /run/monitor.pid)");
    const Output went_down = lab.sh("grep -E 'ext[01]@' /run/monitor | grep -v '[<,]UP[,>]'");
    CHECK_MESSAGE(went_down.out.empty(), went_down.out);
}

TEST_CASE("links on a bridge of Open vSwitch stand on the link of its name, and come back with it") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    lab.start_open_vswitch();
    const auto before = lab.traces();
    const bool has_vlans = lab.sh("ip link add dummy-end type veth peer name dummy-peer && ip link add link dummy-end name "
                                  "probe type vlan id 9")
                               .exit_code == 0;
    lab.must("ip link del dummy-end");
    const std::string tagged = R"(- name: tagged
  image: busybox
  devices: {eth0: {type: nic, nictype: macvlan, parent: ovs0, vlan: 7}}
)";
    const std::string file = lab.write("stack.yaml", small_stack + R"(- name: mac
  image: busybox
  devices: {eth0: {type: nic, nictype: macvlan, parent: ovs0, ipv4.address: 10.60.0.9/24}}
)" + (has_vlans ? tagged : ""));
    const auto stand_on_it = [&] {
        const std::string index = lab.line("cat /sys/class/net/ovs0/ifindex");
        CHECK(lab.in_netns("mac", "ip -j link show eth0 | jq '.[0].link_index'").out == index + "\n");
        if (has_vlans)
            CHECK(lab.line("ip -j -d link show ovs0.7 | jq -r '.[0] | \"\\(.link) \\(.linkinfo.info_data.id)\"'") ==
                  "ovs0 7");
    };
    lab.must_apply(file);
    stand_on_it();
    lab.must("ovs-vsctl del-br ovs0");
    CHECK(lab.in_netns("mac", "ip link show eth0").exit_code != 0);
    lab.must_apply(file);
    stand_on_it();
    CHECK(lab.pings("", "10.60.0.2"));
    lab.must_delete(file);
    lab.check_nothing_left(before);
}

TEST_CASE("TCP and UDP pass between host and container and between containers") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    lab.start_open_vswitch();
    const std::string file = lab.write("stack.yaml", small_stack + R"(- name: db
  image: busybox
  devices: {eth0: {type: nic, name: eth0, network: ovs0, host_name: db0, ipv4.address: 10.60.0.3}}
)");
    lab.must_apply(file);
    for (const std::string protocol : {"tcp", "udp"}) {
        CHECK_MESSAGE(hears(lab, "web", "db", "10.60.0.3", protocol), protocol);
        CHECK_MESSAGE(hears(lab, "", "web", "10.60.0.2", protocol), protocol);
        CHECK_MESSAGE(hears(lab, "web", "", "10.60.0.1", protocol), protocol);
    }
    if (trim(lab.must("ovs-vsctl get bridge ovs0 datapath_type")) == "netdev") {
        REQUIRE(lab.in_netns("db", "ethtool -K eth0 tx on").exit_code == 0);
        CHECK_FALSE(hears(lab, "db", "web", "10.60.0.2", "udp"));
        CHECK(lab.planned(file) == std::vector<std::string>{"link/db:eth0 update live: tx_checksum drifted"});
        lab.must_apply(file);
        CHECK(hears(lab, "db", "web", "10.60.0.2", "udp"));
    }
    lab.must_delete(file);
}

TEST_CASE("a native bridge becomes one of Open vSwitch and back, with its container on it") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    lab.start_open_vswitch();
    const std::string native = with(small_stack, "bridge.driver: openvswitch, ", "");
    const std::string file = lab.write("stack.yaml", native);
    lab.must_apply(file);
    CHECK(lab.pings("", "10.60.0.2"));
    lab.write("stack.yaml", small_stack);
    lab.must_apply(file);
    CHECK(trim(lab.must("ovs-vsctl list-ports ovs0")) == "web0");
    CHECK(lab.pings("", "10.60.0.2"));
    lab.write("stack.yaml", native);
    lab.must_apply(file);
    CHECK(trim(lab.must("ovs-vsctl list-br")).empty());
    CHECK(lab.pings("", "10.60.0.2"));
    lab.must_delete(file);
}

}  // namespace ctl::testing
