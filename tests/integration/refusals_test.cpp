// What a host lacks is said by the plan, and refused by apply before the first change.

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <string>

#include "lab.h"
#include "support/inventory.h"

using namespace ctl::testing;

namespace {

bool says(const std::string& text, const std::string& words) { return text.find(words) != std::string::npos; }

/// How plan and apply answer to a stack that this host can't take.
struct Refusal {
    Output plan;
    Output apply;
};

/// `wrap` is put before ctl's command line.
Refusal refused(const Lab& lab, const std::string& file, const std::string& wrap = "") {
    const Inventory before = take_inventory(lab);
    const std::string program = wrap + CTL_BINARY_DIR "/ctl";
    Refusal refusal{lab.sh(program + " plan -f " + file), lab.sh(program + " apply --yes -f " + file)};
    CHECK(refusal.apply.exit_code != 0);
    Inventory after = take_inventory(lab);
    // The journal itself may be made.
    std::erase_if(after, [&](const std::string& fact) {
        return !before.contains(fact) && fact.starts_with("file ") && !says(fact, "/containers/");
    });
    CHECK(differences(before, after) == "");
    return refusal;
}

constexpr const char* one_container = R"(stack: lab
storage_pools: [{name: default, driver: dir}]
images: [{name: busybox, source: {type: busybox}}]
containers:
- name: one
  image: busybox
  devices: {root: {type: disk, path: /, pool: default}}
)";

}  // namespace

TEST_CASE("a parent or a port that neither the stack nor the host has is named at its place") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    const std::string file = lab.write("stack.yaml", R"(stack: lab
networks:
- name: mac0
  type: macvlan
  config: {parent: enp77, mode: bridge}
- name: br0
  config: {bridge.external_interfaces: enp78}
storage_pools: [{name: default, driver: dir}]
images: [{name: busybox, source: {type: busybox}}]
containers:
- name: one
  image: busybox
  devices:
    root: {type: disk, path: /, pool: default}
    eth0: {type: nic, nictype: bridged, parent: br77}
    eth1: {type: nic, nictype: macvlan, parent: enp79}
)");
    CHECK(lab.ctl({"validate", "-f", file}).exit_code == 0);
    const Refusal refusal = refused(lab, file);
    CHECK(refusal.plan.exit_code == 1);
    for (const Output& output : {refusal.plan, refusal.apply}) {
        CHECK_MESSAGE(says(output.err, "stack.yaml:5:20: error: interface \"enp77\" is not on this host"), output.err);
        CHECK_MESSAGE(says(output.err, "stack.yaml:7:40: error: interface \"enp78\" is not on this host"), output.err);
        CHECK_MESSAGE(says(output.err, "stack.yaml:15:49: error: interface \"br77\" is not on this host"), output.err);
        CHECK_MESSAGE(says(output.err, "stack.yaml:16:49: error: interface \"enp79\" is not on this host"), output.err);
        CHECK(says(output.err, "'ip link' lists"));
    }
    lab.must(
        "ip link add enp77 type bridge && ip link add br77 type bridge && ip link add enp79 type bridge && "
        "ip link add enp78 type veth peer name far78");
    CHECK(lab.plan(file).exit_code == 2);
}

TEST_CASE("a host without busybox-static is told what to install") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    const std::string file = lab.write("stack.yaml", one_container);
    lab.must(
        "d=$(dirname $(readlink -f /bin/busybox)) && mkdir -p /run/hide && mknod /run/hide/busybox c 0 0 && "
        "mount -t overlay overlay -o lowerdir=/run/hide:$d $d && ! test -e /bin/busybox");
    const Refusal refusal = refused(lab, file);
    CHECK(refusal.plan.exit_code == 0);
    CHECK_MESSAGE(says(refusal.plan.out, "warning: apply would be refused"), refusal.plan.out);
    CHECK_MESSAGE(says(refusal.plan.out, "busybox-static"), refusal.plan.out);
    CHECK_MESSAGE(says(refusal.plan.out, "stack.yaml:3:17"), refusal.plan.out);
    CHECK(refusal.apply.exit_code == 10);
    CHECK_MESSAGE(says(refusal.apply.err, "apt-get install busybox-static"), refusal.apply.err);
    CHECK(says(refusal.apply.err, "nothing was changed"));
}

TEST_CASE("a kernel that gives no more user or network namespaces is found out before the first change") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    // The limits hold in a user namespace of its own only.
    const auto without = [](const std::string& kind) {
        return "unshare --user --map-root-user --mount --net -- sh -c 'mount -t sysfs sysfs /sys; mount --rbind "
               "/run/cgroups "
               "/sys/fs/cgroup; echo 0 > /proc/sys/user/max_" +
               kind + "_namespaces; exec \"$@\"' sh ";
    };
    lab.must("mkdir -p /run/cgroups && mount --rbind /sys/fs/cgroup /run/cgroups");
    const Refusal users = refused(lab, lab.write("stack.yaml", one_container), without("user"));
    CHECK_MESSAGE(says(users.plan.out, "no user namespaces"), users.plan.out, users.plan.err);
    CHECK_MESSAGE(says(users.apply.err, "no user namespaces"), users.apply.out, users.apply.err);
    CHECK_MESSAGE(says(users.apply.err, "security.privileged: true"), users.apply.err);

    const std::string bridge = lab.write("bridge.yaml", "stack: net\nnetworks: [{name: netbr0}]\n");
    const Refusal nets = refused(lab, bridge, without("net"));
    CHECK_MESSAGE(says(nets.plan.out, "network namespace to try links in"), nets.plan.out, nets.plan.err);
    CHECK_MESSAGE(says(nets.apply.err, "network namespace to try links in"), nets.apply.err);
    CHECK(says(nets.apply.err, "bridge.yaml:2:"));
}

TEST_CASE("a plan made while another ctl is at work says whose work it may have seen half-done") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    const std::string file = lab.write("stack.yaml", one_container);
    lab.must_apply(file);
    const Output output = lab.sh(
        "exec 9<>/var/lib/ctl/lock; python3 -c 'import fcntl, struct; fcntl.fcntl(9, 37, "
        "struct.pack(\"hhqqi4x\", fcntl.F_WRLCK, 0, 0, 0, 0))' && " CTL_BINARY_DIR "/ctl plan -f " +
        file);
    CHECK(output.exit_code == 0);
    CHECK_MESSAGE(says(output.out, "another ctl is changing this host"), output.out, output.err);
}
