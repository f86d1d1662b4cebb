#include <doctest/doctest.h>

#include <algorithm>

#include <fmt/format.h>

#include "base/text.h"
#include "lab.h"
#include "support/wait.h"

// One thing at a time is changed on a running stack: the plan says what that costs, and nothing else is touched.

namespace ctl::testing {
namespace {

using Lines = std::vector<std::string>;
using Keys = std::set<std::string>;

const std::string base_stack = R"(stack: effects
storage_pools: [{name: default, driver: dir}]
networks:
- name: br0
  config:
    ipv4.address: 10.40.0.1/24
    ipv4.dhcp: false
    # of br0
- name: br1
  config: {ipv4.address: 10.41.0.1/24, ipv4.dhcp: false}
images:
- {name: busybox, source: {type: busybox}}
- {name: other, source: {type: busybox}}
profiles:
- name: default
  devices:
    root: {type: disk, path: /, pool: default}
containers:
- name: a
  image: busybox
  config:
    limits.memory: 64MiB
    # of a
  devices:
    eth0: {type: nic, nictype: bridged, parent: br0, name: eth0, host_name: veth-a, ipv4.address: 10.40.0.11}
    logs: {type: disk, source: /var/log, path: /host/log, readonly: true}
    # devices of a
  # more of a
- name: b
  image: busybox
  devices:
    eth0: {type: nic, nictype: bridged, parent: br0, name: eth0, host_name: veth-b, ipv4.address: 10.40.0.12}
  # more of b
)";

std::string str(const Lines& lines) { return "\n  " + joined(lines, "\n  ") + "\n"; }
std::string str(const Keys& keys) { return str(Lines(keys.begin(), keys.end())); }

struct Row {
    std::string what;
    std::string from;  ///< in base_stack
    std::string to;
    Lines planned;
    Keys changed;
};

/// Applies the row's change and takes it back; either way only the named facts may change.
void check_row(const Lab& lab, const Row& row) {
    INFO(row.what);
    const std::string file = lab.write("stack.yaml", replaced(base_stack, row.from, row.to));
    const Facts before = lab.facts();
    const Lines planned = lab.planned(file);
    CHECK_MESSAGE(planned == row.planned, row.what, ": planned:", str(planned), "not:", str(row.planned));
    CHECK_MESSAGE(lab.facts() == before, row.what, ": a plan changes nothing");
    lab.must_apply(file);
    const Facts after = lab.facts();
    const Keys changed = changed_keys(before, after);
    CHECK_MESSAGE(changed == row.changed, row.what, ": changed:", str(changed), "not:", str(row.changed));

    lab.write("stack.yaml", base_stack);
    lab.must_apply(file);
    Keys still = changed_keys(before, lab.facts());
    // What starts again has another process, and what is made again another index; a veth's near end any MAC.
    std::erase_if(still, [&](const std::string& key) {
        return row.changed.contains(key) && (key.ends_with(" init") || key.ends_with(" index") || key == "link/veth-a mac");
    });
    CHECK_MESSAGE(still.empty(), row.what, ": not taken back:", str(still));
}

/// Does something by hand; the next apply brings everything back.
struct Drift {
    std::string what;
    std::string script;
    Lines planned;
    Keys made_anew;  ///< facts that can't come back: indexes and process ids
};

void check_drift(const Lab& lab, const std::string& file, const Drift& drift) {
    const Facts before = lab.facts();
    lab.must(drift.script);
    const Lines planned = lab.planned(file);
    CHECK_MESSAGE(planned == drift.planned, drift.what, ": planned:", str(planned), "not:", str(drift.planned));
    lab.must_apply(file);
    const Keys changed = changed_keys(before, lab.facts());
    CHECK_MESSAGE(changed == drift.made_anew, drift.what, ": changed:", str(changed), "not:", str(drift.made_anew));
}

const std::string in_a = "nsenter --net=/run/ctl/namespaces/a/net ";
const std::string lxc = " -P /var/lib/ctl/containers -n a ";

}  // namespace

TEST_CASE("what can be changed while a container runs is changed while it runs") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    lab.must_apply(lab.write("stack.yaml", base_stack));
    check_row(lab, {"a bridge's MTU",
                    "# of br0",
                    "bridge.mtu: 1400",
                    {"link/a:eth0 update live: mtu changed", "link/b:eth0 update live: mtu changed",
                     "link/br0 update live: mtu changed", "link/veth-a update live: mtu changed",
                     "link/veth-b update live: mtu changed"},
                    {"link/br0 mtu", "link/veth-a mtu", "link/veth-b mtu", "link/a:eth0 mtu", "link/b:eth0 mtu"}});
    check_row(lab, {"a bridge's address",
                    "10.40.0.1/24",
                    "10.40.0.2/24",
                    {"link/br0 update live: addresses changed", "route/a:0.0.0.0/0 update live: via changed",
                     "route/b:0.0.0.0/0 update live: via changed"},
                    {"link/br0 addresses", "route/a:default", "route/b:default"}});
    check_row(lab, {"a NIC's address",
                    "ipv4.address: 10.40.0.11",
                    "ipv4.address: 10.40.0.21",
                    {"link/a:eth0 update live: addresses changed"},
                    {"link/a:eth0 addresses"}});
    check_row(lab, {"a NIC's second address",
                    "ipv4.address: 10.40.0.11",
                    "ipv4.address: 10.40.0.11, ipv6.address: fd00::11/64",
                    {"link/a:eth0 update live: ipv6, addresses changed"},
                    {"link/a:eth0 addresses"}});
    check_row(lab, {"a NIC's MTU",
                    "ipv4.address: 10.40.0.11",
                    "ipv4.address: 10.40.0.11, mtu: 1300",
                    {"link/a:eth0 update live: mtu changed", "link/veth-a update live: mtu changed"},
                    {"link/a:eth0 mtu", "link/veth-a mtu"}});
    check_row(lab, {"a gateway",
                    "ipv4.address: 10.40.0.11",
                    "ipv4.address: 10.40.0.11, ipv4.gateway: 10.40.0.12",
                    {"route/a:0.0.0.0/0 update live: via changed"},
                    {"route/a:default"}});
    check_row(lab, {"a MAC",
                    "ipv4.address: 10.40.0.11",
                    "ipv4.address: 10.40.0.11, hwaddr: '00:16:3e:00:00:77'",
                    {"link/a:eth0 update live: mac changed"},
                    {"link/a:eth0 mac"}});
    check_row(lab, {"a NIC's bridge",
                    "parent: br0, name: eth0, host_name: veth-a, ipv4.address: 10.40.0.11",
                    "parent: br1, name: eth0, host_name: veth-a, ipv4.address: 10.41.0.11",
                    {"link/a:eth0 update live: addresses changed", "link/veth-a update live: master changed",
                     "route/a:0.0.0.0/0 update live: via changed"},
                    {"link/a:eth0 addresses", "link/veth-a master", "route/a:default"}});
    check_row(lab, {"a memory limit",
                    "64MiB",
                    "32MiB",
                    {"container/a update live: memory_limit changed"},
                    {"container/a memory", "container/a config"}});
    check_row(lab, {"no memory limit",
                    "limits.memory: 64MiB",
                    "boot.autostart: true",
                    {"container/a update live: autostart changed; memory_limit no longer set"},
                    {"container/a memory", "container/a config"}});
    check_row(lab, {"a limit of processes",
                    "# of a",
                    "limits.processes: 50",
                    {"container/a update live: process_limit changed"},
                    {"container/a processes", "container/a config"}});
    check_row(lab, {"a NIC more",
                    "# devices of a",
                    "eth1: {type: nic, nictype: p2p, name: eth1, host_name: p2p-a, ipv4.address: 10.42.0.2/30}",
                    {"link/a:eth1 create live: new in the stack", "link/p2p-a create live: new in the stack"},
                    {"link/a:eth1 addresses", "link/a:eth1 index", "link/a:eth1 mac", "link/a:eth1 master",
                     "link/a:eth1 mtu", "link/a:eth1 up", "link/p2p-a addresses", "link/p2p-a index", "link/p2p-a mac",
                     "link/p2p-a master", "link/p2p-a mtu", "link/p2p-a up"}});
}

TEST_CASE("mounts are plugged into and pulled out of a running container") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    lab.must_apply(lab.write("stack.yaml", base_stack));
    const Lines planned{"container/a update hotplug: mounts changed"};
    const Keys changed{"container/a mounts", "container/a config"};
    check_row(lab, {"one more", "# devices of a", "opt: {type: disk, source: /opt, path: /host/opt}", planned, changed});
    check_row(lab, {"one less", "    logs: {type: disk, source: /var/log, path: /host/log, readonly: true}\n", "", planned,
                    changed});
    check_row(lab, {"writable", ", readonly: true", "", planned, changed});
    check_row(lab, {"of another folder", "source: /var/log", "source: /opt", planned, {"container/a config"}});
}

TEST_CASE("what needs a restart restarts that container and no other") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    lab.must_apply(lab.write("stack.yaml", base_stack));
    check_row(lab, {"the environment",
                    "# of a",
                    "environment.COLOUR: blue",
                    {"container/a update restart: environment changed"},
                    {"container/a init", "container/a config"}});
    check_row(lab, {"a line for liblxc",
                    "# of a",
                    "raw.lxc: lxc.prlimit.nofile = 512",
                    {"container/a update restart: raw changed"},
                    {"container/a init", "container/a config"}});
    const std::string needs_netns = "needs netns/a, which is replaced";
    check_row(lab,
              {"privilege",
               "# of a",
               "security.privileged: true",
               {"netns/a replace replace: idmap changed", "link/a:eth0 replace replace: " + needs_netns,
                "link/veth-a replace replace: needs link/a:eth0, which is replaced",
                "route/a:0.0.0.0/0 replace replace: needs link/a:eth0, which is replaced",
                "volume/default/a update restart: idmap changed", "container/a update restart: idmap changed"},
               {"container/a init", "container/a config", "container/a mounts", "link/veth-a index", "link/veth-a mac"}});
}

TEST_CASE("a container is stopped, frozen and started as the manifest says") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    lab.must_apply(lab.write("stack.yaml", base_stack));
    const Lines planned{"container/a update live: state changed"};
    check_row(lab, {"stopped",
                    "# more of a",
                    "state: stopped",
                    planned,
                    {"container/a init", "container/a mounts", "container/a state", "container/a memory",
                     "container/a processes"}});
    check_row(lab, {"frozen", "# more of a", "state: frozen", planned, {"container/a state"}});
    // From the one to the other.
    const std::string file = lab.write("stack.yaml", replaced(base_stack, "# more of a", "state: stopped"));
    lab.must_apply(file);
    lab.write("stack.yaml", replaced(base_stack, "# more of a", "state: frozen"));
    lab.must_apply(file);
    CHECK(lab.facts().at("container/a state") == "FROZEN");
    lab.write("stack.yaml", base_stack);
    lab.must_apply(file);
    CHECK(lab.facts().at("container/a state") == "RUNNING");
}

TEST_CASE("what somebody changes by hand is put back, and the plan calls it drift") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    const std::string file = lab.write("stack.yaml", replaced(base_stack, "# of br0", "bridge.mtu: 1450"));
    lab.must_apply(file);
    check_drift(lab, file,
                {"an address taken from a container",
                 in_a + "ip addr del 10.40.0.11/24 dev eth0",
                 {"link/a:eth0 update live: addresses drifted", "route/a:0.0.0.0/0 create live: gone from the host"},
                 {}});
    check_drift(lab, file,
                {"a route", in_a + "ip route del default", {"route/a:0.0.0.0/0 create live: gone from the host"}, {}});
    check_drift(lab, file,
                {"a route by another way",
                 in_a + "ip route replace default via 10.40.0.99 dev eth0",
                 {"route/a:0.0.0.0/0 update live: via drifted"},
                 {}});
    check_drift(lab, file, {"a MTU", "ip link set veth-a mtu 1300", {"link/veth-a update live: mtu drifted"}, {}});
    check_drift(
        lab, file,
        {"a MAC", in_a + "ip link set eth0 address 02:00:00:00:00:01", {"link/a:eth0 update live: mac drifted"}, {}});
    check_drift(lab, file, {"a bridge's address", "ip addr flush dev br0", {"link/br0 update live: addresses drifted"}, {}});
    check_drift(lab, file, {"a port", "ip link set veth-a nomaster", {"link/veth-a update live: master drifted"}, {}});
    check_drift(lab, file, {"a link that is down", "ip link set veth-b down", {"link/veth-b update live: up drifted"}, {}});
    check_drift(lab, file,
                {"a veth pair",
                 "ip link del veth-a",
                 {"link/a:eth0 create live: gone from the host", "link/veth-a create live: gone from the host",
                  "route/a:0.0.0.0/0 create live: gone from the host"},
                 {"link/veth-a index", "link/veth-a mac", "link/a:eth0 index"}});
    check_drift(lab, file,
                {"forwarding",
                 "sysctl -qw net.ipv4.conf.br0.forwarding=0",
                 {"sysctl/net.ipv4.conf.br0.forwarding update live: value drifted"},
                 {}});
    check_drift(
        lab, file,
        {"a stopped container", "lxc-stop" + lxc + "-k", {"container/a update live: state drifted"}, {"container/a init"}});
    check_drift(lab, file, {"a frozen container", "lxc-freeze" + lxc, {"container/a update live: state drifted"}, {}});
    check_drift(lab, file,
                {"a memory limit",
                 "echo 33554432 > $(find /sys/fs/cgroup -path '*/ctl/a/payload/memory.limit_in_bytes' -o -path "
                 "'*/ctl/a/payload/memory.max')",
                 {"container/a update live: memory_limit drifted"},
                 {}});
    check_drift(lab, file,
                {"a mount",
                 "nsenter -t $(lxc-info" + lxc + "-p -H) --mount umount /host/log",
                 {"container/a update hotplug: mounts drifted"},
                 {}});
    check_drift(
        lab, file,
        {"a config file", "echo lxc.start.auto = 1 >> /var/lib/ctl/containers/a/config", {}, {"container/a config"}});
}

TEST_CASE("a bridge keeps the MTU it was given when a port has a smaller one") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    const std::string text = replaced(replaced(base_stack, "# of br0", "bridge.mtu: 1450"), "ipv4.address: 10.40.0.11",
                                      "ipv4.address: 10.40.0.11, mtu: 1300");
    lab.must_apply(lab.write("stack.yaml", text));
    CHECK(lab.facts().at("link/br0 mtu") == "1450");
    CHECK(lab.facts().at("link/veth-a mtu") == "1300");
}

TEST_CASE("addresses of others on our bridge stay") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    const std::string file = lab.write("stack.yaml", base_stack);
    lab.must_apply(file);
    lab.must("ip addr add 10.99.0.1/24 dev br0");
    CHECK(lab.plan(file).exit_code == 0);
    lab.write("stack.yaml", replaced(base_stack, "10.40.0.1/24", "10.40.0.2/24"));
    lab.must_apply(file);
    CHECK(lab.facts().at("link/br0 addresses") == "10.40.0.2/24 10.99.0.1/24");
}

TEST_CASE("a restart that the manifest puts off stays in the plan until it is allowed") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    const std::string defer = replaced(base_stack, "# more of a", "lifecycle: {on_restart_needed: defer}");
    const std::string file = lab.write("stack.yaml", defer);
    lab.must_apply(file);
    const std::string init = lab.init_pid("a");
    lab.write("stack.yaml", replaced(defer, "# of a", "environment.COLOUR: blue"));
    const Lines pending{"container/a update live: environment changed; pending restart"};
    CHECK(lab.planned(file) == pending);
    CHECK(lab.apply(file).exit_code == 0);
    CHECK(lab.init_pid("a") == init);
    CHECK(lab.planned(file) == Lines{"container/a update live: stored; pending restart"});
    CHECK(lab.must("tr '\\0' '\\n' < /proc/" + init + "/environ").find("COLOUR") == std::string::npos);

    CHECK(lab.apply(file, {"--restart", "restart"}).exit_code == 0);
    CHECK(lab.init_pid("a") != init);
    CHECK(lab.plan(file).exit_code == 0);
    CHECK(lab.must("tr '\\0' '\\n' < /proc/" + lab.init_pid("a") + "/environ").find("COLOUR=blue") != std::string::npos);
}

TEST_CASE("a restart that the manifest or the command line forbids is refused and nothing is changed") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    const std::string never = replaced(base_stack, "# more of a", "lifecycle: {on_restart_needed: never}");
    const std::string file = lab.write("stack.yaml", never);
    lab.must_apply(file);
    const Facts before = lab.facts();
    lab.write("stack.yaml", replaced(replaced(never, "# of a", "environment.COLOUR: blue"), "10.40.0.12", "10.40.0.22"));
    const Output refused = lab.apply(file);
    CHECK(refused.exit_code == 9);
    CHECK(refused.err.find("container/a would have to restart") != std::string::npos);
    CHECK(lab.facts() == before);
    CHECK(lab.apply(file, {"--restart", "restart"}).exit_code == 0);
    CHECK(lab.init_pid("a") != before.at("container/a init"));
    CHECK(lab.init_pid("b") == before.at("container/b init"));

    lab.write("stack.yaml", replaced(base_stack, "# of a", "environment.COLOUR: green"));
    const Facts now = lab.facts();
    CHECK(lab.apply(file, {"--restart", "never"}).exit_code == 9);
    CHECK(lab.facts() == now);
}

TEST_CASE("another image means another root filesystem, which has to be confirmed") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    const std::string file = lab.write("stack.yaml", base_stack);
    lab.must_apply(file);
    CHECK(lab.attach("a", "touch /written").exit_code == 0);
    CHECK(lab.attach("b", "touch /written").exit_code == 0);
    const Facts before = lab.facts();
    lab.write("stack.yaml", replaced(base_stack, "image: busybox", "image: other"));
    const Lines planned{"volume/default/a replace replace: image changed",
                        "container/a update restart: needs volume/default/a, which is replaced"};
    CHECK_MESSAGE(lab.planned(file) == planned, str(lab.planned(file)));

    CHECK(lab.ctl({"apply", "-f", file}).exit_code == 9);
    CHECK(lab.facts() == before);
    CHECK(lab.attach("a", "ls /written").exit_code == 0);

    lab.must_apply(file);
    CHECK(changed_keys(before, lab.facts()) == Keys{"container/a init"});
    CHECK(lab.attach("a", "ls /written").exit_code != 0);
    CHECK(lab.attach("b", "ls /written").exit_code == 0);
}

TEST_CASE("a container that left the stack is deleted when that is confirmed") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    const std::string file = lab.write("stack.yaml", base_stack);
    lab.must_apply(file);
    const Facts before = lab.facts();
    const std::string without_b = base_stack.substr(0, base_stack.find("- name: b\n"));
    lab.write("stack.yaml", without_b);
    const Output refused = lab.ctl({"apply", "-f", file});
    CHECK(refused.exit_code == 9);
    CHECK(refused.err.find("--yes") != std::string::npos);
    CHECK(lab.facts() == before);
    lab.must_apply(file);
    for (const auto& key : changed_keys(before, lab.facts())) {
        const bool is_of_b = key.starts_with("container/b ") || key.starts_with("link/b:") ||
                             key.starts_with("link/veth-b ") || key.starts_with("route/b:");
        CHECK_MESSAGE(is_of_b, "touched: ", key);
    }
    for (const auto& trace : lab.traces()) CHECK_MESSAGE(trace.find("/b") != trace.size() - 2, "left behind: ", trace);
}

TEST_CASE("a protected container is not deleted, and an unpruned one is let go") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    const auto with = [&](const std::string& lifecycle) {
        return replaced(base_stack, "# more of b", "lifecycle: {" + lifecycle + "}");
    };
    const std::string without_b = base_stack.substr(0, base_stack.find("- name: b\n"));
    const std::string file = lab.write("stack.yaml", with("prevent_destroy: true"));
    lab.must_apply(file);
    const Facts before = lab.facts();
    lab.write("stack.yaml", without_b);
    const Output refused = lab.apply(file);
    CHECK(refused.exit_code == 9);
    CHECK(refused.err.find("prevent_destroy") != std::string::npos);
    CHECK(lab.facts() == before);
    CHECK(lab.ctl({"delete", "-f", file, "--yes"}).exit_code == 9);
    CHECK(lab.ctl({"delete", "container/b", "--yes"}).exit_code == 9);
    CHECK(lab.facts() == before);

    lab.write("stack.yaml", with("prune: false"));
    lab.must_apply(file);
    lab.write("stack.yaml", without_b);
    lab.must_apply(file);
    Keys changed = changed_keys(before, lab.facts());
    changed.erase("container/b config");
    CHECK_MESSAGE(changed.empty(), "touched:", str(changed));
    CHECK(lab.pings("b", "10.40.0.1"));
    CHECK(lab.must("cat /var/lib/ctl/containers/b/config").find("# ctl:") == std::string::npos);
}

}  // namespace ctl::testing
