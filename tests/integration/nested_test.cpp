#include <doctest/doctest.h>

#include <fmt/format.h>

#include "base/text.h"
#include "debian.h"
#include "lab.h"
#include "support/wait.h"

// This build's ctl inside a container: a Debian without privileges, in which it applies a stack of its own.

namespace ctl::testing {
namespace {

const std::string ctl_inside = CTL_BINARY_DIR "/ctl";

/// The host's programs and libraries, and the build, are lent to the container; its own are of the same Debian.
std::string outer_stack(const std::string& debian) {
    return fmt::format(R"(stack: outer
storage_pools: [{{name: default, driver: dir}}]
images: [{{name: debian, source: {{type: directory, path: "{}"}}}}]
containers:
- name: outer
  image: debian
  profiles: []
  config:
    security.nesting: true
    security.idmap.size: 200000
  devices:
    root: {{type: disk, path: /, pool: default}}
    usr: {{type: disk, source: /usr, path: /usr, readonly: true}}
    build: {{type: disk, source: "{}", path: "{}", readonly: true}}
)",
                       debian, CTL_BINARY_DIR, CTL_BINARY_DIR);
}

constexpr const char* inner_stack = R"(stack: inner
storage_pools: [{name: default, driver: dir}]
images: [{name: busybox, source: {type: busybox}}]
networks:
- name: br0
  config: {ipv4.address: 10.77.0.1/24, ipv4.dhcp: false, ipv4.nat: true, ipv6.address: none}
profiles: [{name: default, devices: {root: {type: disk, path: /, pool: default}}}]
containers:
- name: one
  image: busybox
  config: {limits.processes: 50, environment.A: b}
  devices: {eth0: {type: nic, network: br0, ipv4.address: 10.77.0.11}}
- name: two
  image: busybox
  devices: {eth0: {type: nic, network: br0, ipv4.address: 10.77.0.12}}
)";

/// What ctl makes, as the container's own tools show it.
constexpr const char* ask_for_traces = R"sh(
ip -br link | sed 's/@.*//; s/ .*//'
nft list tables
find /run/ctl/namespaces /run/ctl/containers /var/lib/ctl/containers /var/lib/ctl/pools -mindepth 1 2> /dev/null
find /var/lib/ctl/images -mindepth 2 2> /dev/null
find /sys/fs/cgroup -type d -path '*/ctl*' 2> /dev/null
true
)sh";

}  // namespace

TEST_CASE("ctl in a container that may nest applies, changes, mends and deletes a stack of its own") {
    CTL_SKIP_WITHOUT_SANDBOX();
    std::string why;
    const auto debian = debian_root(why);
    CTL_SKIP_IF(!debian, why);
    const Lab lab;
    const auto before = lab.traces();
    const std::string outer = lab.write("outer.yaml", outer_stack(*debian));
    lab.must_apply(outer);
    const auto inside = [&](const std::string& script) {
        return lab.run({ctl_inside, "exec", "outer", "--", "sh", "-c", script});
    };
    REQUIRE(wait_until(
        [&] {
            const auto state = inside("systemctl is-system-running").out;
            return state == "running\n" || state == "degraded\n";
        },
        std::chrono::seconds{60}));
    const std::string traces = inside(ask_for_traces).out;

    lab.write("inner.yaml", inner_stack);
    lab.must(ctl_inside + " cp /run/lab/inner.yaml outer:/root/inner.yaml");
    const std::string apply = ctl_inside + " apply --yes -f /root/inner.yaml";
    const std::string plan = ctl_inside + " plan --detailed-exitcode -f /root/inner.yaml";
    const Output applied = inside(apply);
    REQUIRE_MESSAGE(applied.exit_code == 0, applied.out, applied.err);
    const Output again = inside(plan);
    CHECK_MESSAGE(again.exit_code == 0, again.out, again.err);

    // Other people's tools in there: both run, with ids of their own, and reach each other and the bridge.
    CHECK(inside("lxc-ls -P /var/lib/ctl/containers --running -1 | sort | tr '\\n' ' '").out == "one two ");
    const std::string attach = "lxc-attach -P /var/lib/ctl/containers -n one -- ";
    CHECK(inside(attach + "sh -c 'echo $A; cat /proc/self/uid_map'").out == "b\n         0     100000      65536\n");
    CHECK(inside(attach + "stat -c %u:%g /bin /etc/shadow").out == "0:0\n0:0\n");
    const std::string init = std::string(trimmed(inside("lxc-info -P /var/lib/ctl/containers -n one -p -H").out));
    CHECK(inside("awk '{ print $2 }' /proc/" + init + "/uid_map").out == "100000\n");
    for (const std::string& from : {std::string(), attach})
        for (const char* address : {"10.77.0.1", "10.77.0.11", "10.77.0.12"})
            CHECK_MESSAGE(wait_until([&] { return inside(from + "ping -c1 -W1 " + address).exit_code == 0; },
                                     std::chrono::seconds{10}),
                          from, address);
    CHECK(has(inside("nft list ruleset").out, "masquerade"));
    CHECK(
        inside("cat /sys/fs/cgroup/pids/ctl/one/payload/pids.max /sys/fs/cgroup/ctl/one/payload/pids.max 2>/dev/null").out ==
        "50\n");

    // A live change, then drift.
    inside("sed -i 's/limits.processes: 50/limits.processes: 60/' /root/inner.yaml");
    const Output changed = inside(apply);
    CHECK_MESSAGE(changed.exit_code == 0, changed.out, changed.err);
    CHECK(inside("lxc-info -P /var/lib/ctl/containers -n one -p -H").out == init + "\n");
    inside("ip link del br0; lxc-stop -P /var/lib/ctl/containers -n two -k");
    CHECK(inside(plan).exit_code == 2);
    const Output mended = inside(apply);
    CHECK_MESSAGE(mended.exit_code == 0, mended.out, mended.err);
    CHECK(inside(attach + "ping -c1 -W5 10.77.0.12").exit_code == 0);

    const Output deleted = inside(ctl_inside + " delete --yes -f /root/inner.yaml");
    CHECK_MESSAGE(deleted.exit_code == 0, deleted.out, deleted.err);
    const std::string left = inside(ask_for_traces).out;
    CHECK_MESSAGE(left == traces, left, "before:\n", traces);
    lab.must_delete(outer);
    lab.check_nothing_left(before);
}

}  // namespace ctl::testing
