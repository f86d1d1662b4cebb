#include <doctest/doctest.h>

#include <algorithm>

#include "base/text.h"
#include "lab.h"
#include "support/wait.h"

// One key of a network after the other is set on a running stack and taken back: the plan says what that costs, and neither
// links nor addresses nor rules nor services that it does not speak of are touched.

namespace ctl::testing {
namespace {

using Lines = std::vector<std::string>;
using Keys = std::set<std::string>;

const std::string base_stack = R"(stack: changes
storage_pools: [{name: default, driver: dir}]
images: [{name: busybox, source: {type: busybox}}]
network_acls:
- name: web
  ingress: [{action: allow, protocol: tcp, destination_port: "80", state: enabled}]
networks:
- name: br0
  config:
    ipv4.address: 10.50.0.1/24
    ipv6.address: fd42:50::1/64
    ipv4.nat: true
    # of br0
- name: br1
  config: {ipv4.address: 10.51.0.1/24, ipv6.address: none}
- name: mv0
  type: macvlan
  config:
    parent: low0
    ipv4.address: 10.52.0.1/24
    # of mv0
profiles: [{name: default, devices: {root: {type: disk, path: /, pool: default}}}]
containers:
- name: a
  image: busybox
  profiles: [default]
  devices: {eth0: {type: nic, network: br0, host_name: veth-a, ipv4.address: 10.50.0.11}}
- name: b
  image: busybox
  profiles: [default]
  devices:
    eth0:
      type: nic
      network: br1
      host_name: veth-b
      ipv4.address: 10.51.0.11
      # of b
- name: c
  image: busybox
  profiles: [default]
  devices: {eth0: {type: nic, network: mv0, ipv4.address: 10.52.0.11}}
)";

/// What Lab::facts() leaves out: rules, services and parameters of networks.
constexpr const char* ask_for_network_facts = R"sh(
nft list tables | while read -r _ family table; do
    printf 'table/%s\t%s\n' "$table" "$(nft -s list table "$family" "$table" | sha256sum)"
done
for directory in /var/lib/ctl/networks/*/; do
    name=$(basename "$directory")
    [ -e "$directory/pid" ] || continue
    printf 'dns/%s process\t%s\n' "$name" "$(cat "$directory/pid")"
    find "$directory" -type f ! -name pid ! -name '*leases*' | while read -r file; do
        printf 'dns/%s %s\t%s\n' "$name" "$(basename "$file")" "$(sha256sum < "$file")"
    done
done
for link in mv0 c:eth0; do
    case $link in *:*) enter="nsenter --net=/run/ctl/namespaces/${link%%:*}/net" ;; *) enter= ;; esac
    $enter ip -d -j link show "${link##*:}" | jq -r --arg link "$link" '"link/\($link) mode\t\(.[0].linkinfo.info_data.mode)"'
done
printf 'link/veth-b queues\t%s\n' "$(tc qdisc show dev veth-b | tr '\n' ';') $(tc class show dev veth-b | tr '\n' ';')"
printf 'link/veth-b isolated\t%s\n' "$(bridge -d -j link show dev veth-b | jq '.[0].isolated')"
ip -6 route show dev br0 proto 199 | while read -r destination rest; do printf 'route/:%s\t%s\n' "$destination" "$rest"; done
for link in br0 br1; do
    for family in ipv4 ipv6; do
        printf 'sysctl/%s %s forwarding\t%s\n' "$link" "$family" "$(cat "/proc/sys/net/$family/conf/$link/forwarding")"
    done
done
true
)sh";

Facts facts_of(const Lab& lab) {
    Facts facts = lab.facts();
    const std::string lines = lab.must(ask_for_network_facts);
    for (const std::string_view line : split(lines, '\n'))
        if (const std::size_t tab = line.find('\t'); tab != std::string_view::npos)
            facts.emplace(line.substr(0, tab), line.substr(tab + 1));
    // What the containers' clients do with their leases is their own affair.
    std::erase_if(facts, [](const auto& fact) {
        return fact.first.find(":eth0 addresses") != std::string::npos || fact.first.starts_with("route/a:") ||
               fact.first.starts_with("route/b:");
    });
    return facts;
}

std::string str(const Lines& lines) { return "\n  " + joined(lines, "\n  ") + "\n"; }
std::string str(const Keys& keys) { return str(Lines(keys.begin(), keys.end())); }

struct Row {
    std::string keys;  ///< one more line, or several, of what is changed
    Lines planned;
    Keys changed;
};

/// The base with the row's keys where "# of WHAT" stands.
std::string changed_stack(const std::string& what, const Row& row) {
    std::string text = base_stack;
    const std::string mark = "# of " + what + "\n";
    const std::size_t hole = text.find(mark);
    const std::string indent = text.substr(text.rfind('\n', hole) + 1, hole - text.rfind('\n', hole) - 1);
    text.replace(hole, mark.size(), row.keys + "\n");
    // A key that it has already gets another value.
    const std::string key = indent + row.keys.substr(0, row.keys.find(':') + 1);
    const std::size_t line = text.rfind("\n" + key, hole - indent.size() - 2);
    const std::size_t start = text.rfind("\n- name: ", hole);
    if (line != std::string::npos && line > start) text.erase(line, text.find('\n', line + 1) - line);
    return text;
}

void check_row(const Lab& lab, const std::string& what, const Row& row) {
    INFO(row.keys);
    const std::string text = changed_stack(what, row);

    const Facts before = facts_of(lab);
    const std::string file = lab.write("stack.yaml", text);
    const Lines planned = lab.planned(file);
    CHECK_MESSAGE(planned == row.planned, row.keys, ": planned:", str(planned), "not:", str(row.planned));
    lab.must_apply(file);
    const Keys changed = changed_keys(before, facts_of(lab));
    CHECK_MESSAGE(changed == row.changed, row.keys, ": changed:", str(changed), "not:", str(row.changed));

    lab.write("stack.yaml", base_stack);
    lab.must_apply(file);
    Keys still = changed_keys(before, facts_of(lab));
    // What starts again is another process.
    for (const char* process : {"dns/br0 process", "container/a init"})
        if (row.changed.contains(process)) still.erase(process);
    CHECK_MESSAGE(still.empty(), row.keys, ": not taken back:", str(still));
}

/// A host with two NICs for the base stack, which runs on it.
void start_base(const Lab& lab) {
    lab.must(
        "for name in ext0 low0; do ip link add $name type veth peer name $name-far && ip link set $name up && "
        "echo 1 > /proc/sys/net/ipv6/conf/$name-far/disable_ipv6 && ip link set $name-far up || exit; done");
    lab.must_apply(lab.write("stack.yaml", base_stack));
    REQUIRE(wait_until([&] { return lab.in_netns("a", "ip addr show eth0").out.find("10.50.0.11/") != std::string::npos; }));
}

}  // namespace

TEST_CASE("a key of a network changes while the network is in use, and what it does not speak of is left alone") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    start_base(lab);

    const std::string restarts = "dns_service/br0 update restart: options changed";
    const Keys served{"dns/br0 process", "dns/br0 dnsmasq.conf"};
    const auto with = [](Keys keys, const Keys& more) {
        keys.insert(more.begin(), more.end());
        return keys;
    };
    check_row(lab, "br0", {"ipv4.dhcp.expiry: 30m", {restarts}, served});
    check_row(lab, "br0", {"ipv4.dhcp.gateway: 10.50.0.2", {restarts}, served});
    check_row(lab, "br0", {"ipv4.dhcp.ranges: 10.50.0.100-10.50.0.150", {restarts}, served});
    check_row(lab, "br0", {"ipv6.dhcp: false", {restarts}, served});
    check_row(lab, "br0", {"ipv6.dhcp.stateful: true", {restarts}, served});
    check_row(lab, "br0", {"dns.domain: lab.example", {restarts}, served});
    check_row(lab, "br0", {"dns.search: lab.example", {restarts}, served});
    check_row(lab, "br0", {"raw.dnsmasq: log-dhcp", {restarts}, served});
    check_row(lab, "br0",
              {"dns.mode: dynamic",
               {"dns_service/br0 update restart: options, reservations changed"},
               with(served, {"dns/br0 a:eth0"})});

    const std::string rules = "nft_table/ctl_br0 update live: chains changed";
    const Keys ruled{"table/ctl_br0"};
    check_row(lab, "br0", {"ipv4.firewall: false", {rules}, ruled});
    check_row(lab, "br0", {"ipv4.nat: false", {"nft_table/ctl_br0 delete live: no longer in the stack"}, ruled});
    check_row(lab, "br0", {"ipv4.nat.address: 192.0.2.7", {rules}, ruled});
    check_row(lab, "br0", {"ipv4.nat.order: after", {rules}, ruled});
    check_row(lab, "br0", {"ipv6.nat: true", {rules}, ruled});
    check_row(lab, "br0", {"ipv6.nat: true\n    ipv6.firewall: false", {rules}, ruled});
    check_row(lab, "br0", {"security.acls: web", {rules}, ruled});
    check_row(lab, "br0",
              {"ipv4.routing: false",
               {"sysctl/net.ipv4.conf.br0.forwarding update live: value changed", rules, restarts},
               with(with(served, ruled), {"sysctl/br0 ipv4 forwarding"})});
    const std::string not_ours = " forget live: no longer in the stack, and not ours to delete";
    const Lines routing6{"sysctl/net.ipv6.conf.all.forwarding" + not_ours, "sysctl/net.ipv6.conf.br0.forwarding" + not_ours};
    check_row(lab, "br0", {"ipv6.routing: false", {routing6[0], routing6[1], rules, restarts}, with(served, ruled)});

    check_row(lab, "br0", {"bridge.hwaddr: 00:16:3e:00:50:01", {"link/br0 update live: mac changed"}, {"link/br0 mac"}});
    check_row(lab, "br0",
              {"bridge.external_interfaces: ext0", {"link/ext0 update live: master changed"}, {"link/ext0 master"}});
    check_row(lab, "br0",
              {"ipv4.address: 10.50.0.3/24",
               {"link/br0 update live: addresses changed", restarts},
               with(served, {"link/br0 addresses"})});
    check_row(lab, "br0",
              {"ipv6.address: none",
               {routing6[0], routing6[1], "link/a:eth0 update live: ipv6 changed",
                "link/br0 update live: ipv6, addresses changed", restarts},
               with(served, {"link/br0 addresses"})});
    const Keys mtus{"link/a:eth0 mtu", "link/br0 mtu", "link/veth-a mtu"};
    check_row(lab, "br0",
              {"bridge.mtu: 1400",
               {"link/a:eth0 update live: mtu changed", "link/br0 update live: mtu changed",
                "link/veth-a update live: mtu changed", restarts},
               with(served, mtus)});
    check_row(lab, "br0",
              {"tunnel.t.protocol: vxlan\n    tunnel.t.id: 5\n    tunnel.t.local: 10.51.0.1\n    tunnel.t.remote: 10.51.0.9",
               {"link/a:eth0 update live: mtu changed", "link/br0 update live: mtu changed",
                "link/br0-t create live: new in the stack", "link/veth-a update live: mtu changed", restarts},
               with(with(served, mtus), {"link/br0-t index", "link/br0-t mtu", "link/br0-t mac", "link/br0-t master",
                                         "link/br0-t up", "link/br0-t addresses"})});
    check_row(lab, "br0",
              {"ipv4.routes: 10.60.0.0/16, 10.61.0.0/16",
               {"route/10.60.0.0/16 create live: new in the stack", "route/10.61.0.0/16 create live: new in the stack"},
               {"route/10.60.0.0/16", "route/10.61.0.0/16"}});
    check_row(lab, "br0",
              {"ipv6.routes: fd42:60::/48", {"route/:fd42:60::/48 create live: new in the stack"}, {"route/:fd42:60::/48"}});
    check_row(lab, "br0", {"user.note: seen", {}, {}});
    check_row(lab, "br0",
              {"ipv4.dhcp: false",
               {"dns_service/br0 update restart: options, reservations, records changed",
                "container/a update restart: environment changed"},
               with(served, {"dns/br0 a:eth0", "dns/br0 a:eth0:ipv4", "container/a config", "container/a init"})});
}

TEST_CASE("a key of a macvlan network changes while a container is on it") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    start_base(lab);
    check_row(lab, "mv0",
              {"mtu: 1400",
               {"link/c:eth0 update live: mtu changed", "link/mv0 update live: mtu changed"},
               {"link/c:eth0 mtu", "link/mv0 mtu"}});
    check_row(lab, "mv0",
              {"mode: private",
               {"link/c:eth0 update live: mode changed", "link/mv0 update live: mode changed"},
               {"link/c:eth0 mode", "link/mv0 mode"}});
    check_row(lab, "mv0",
              {"ipv4.address: 10.52.0.2/24", {"link/mv0 update live: addresses changed"}, {"link/mv0 addresses"}});
    check_row(lab, "mv0",
              {"ipv6.address: fd42:52::1/64", {"link/mv0 update live: ipv6, addresses changed"}, {"link/mv0 addresses"}});
    check_row(lab, "mv0", {"user.note: seen", {}, {}});
}

TEST_CASE("a key of a NIC changes while its container runs, which goes on") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    start_base(lab);
    check_row(lab, "b",
              {"ipv4.routes: 10.62.0.0/16", {"route/10.62.0.0/16 create live: new in the stack"}, {"route/10.62.0.0/16"}});
    check_row(
        lab, "b",
        {"limits.priority: \"70000\"", {"nft_table/ctlports_br1 create live: new in the stack"}, {"table/ctlports_br1"}});
    check_row(
        lab, "b",
        {"security.mac_filtering: true", {"nft_table/ctlports_br1 create live: new in the stack"}, {"table/ctlports_br1"}});
    check_row(lab, "b",
              {"limits.ingress: 100Mbit", {"link/veth-b update live: send_limit changed"}, {"link/veth-b queues"}});
    check_row(lab, "b",
              {"security.port_isolation: true", {"link/veth-b update live: isolated changed"}, {"link/veth-b isolated"}});
    check_row(lab, "b",
              {"mtu: 1400",
               {"link/b:eth0 update live: mtu changed", "link/veth-b update live: mtu changed"},
               // A bridge has the MTU of its smallest port unless it is told one.
               {"link/b:eth0 mtu", "link/veth-b mtu", "link/br1 mtu"}});
    check_row(lab, "b",
              {"hwaddr: 00:16:3e:00:51:11",
               {"link/b:eth0 update live: mac changed", "dns_service/br1 update live: reservations changed"},
               {"dns/br1 b:eth0", "link/b:eth0 mac"}});
    check_row(lab, "b",
              {"ipv4.address: 10.51.0.12", {"dns_service/br1 update live: reservations changed"}, {"dns/br1 b:eth0"}});
}

}  // namespace ctl::testing
