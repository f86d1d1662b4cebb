#include <doctest/doctest.h>

#include "base/text.h"
#include "lab.h"

// What is there already and isn't this stack's: said before anything is changed.

namespace ctl::testing {
namespace {

const std::string stack = R"(stack: mine
storage_pools: [{name: default, driver: dir, config: {source: /run/lab/pool}}]
networks:
- name: br0
  config: {ipv4.address: 10.50.0.1/24, ipv4.dhcp: false}
images:
- {name: busybox, source: {type: busybox}}
profiles:
- name: default
  devices:
    root: {type: disk, path: /, pool: default}
    eth0: {type: nic, nictype: bridged, parent: br0, name: eth0}
containers:
- name: a
  image: busybox
  devices: {eth0: {override: {ipv4.address: 10.50.0.11}}}
- name: b
  image: busybox
  devices: {eth0: {override: {ipv4.address: 10.50.0.12}}}
)";

bool says(const Output& output, const std::string& text) { return output.err.find(text) != std::string::npos; }

/// Plan and apply name the conflict, end with 1, and leave everything as it is.
void check_refused(const Lab& lab, const std::string& file, const std::vector<std::string>& words) {
    const Facts facts = lab.facts();
    const auto traces = lab.traces();
    for (const Output& output : {lab.plan(file), lab.apply(file)}) {
        CHECK_MESSAGE(output.exit_code == 1, output.out, output.err);
        for (const auto& word : words) CHECK_MESSAGE(says(output, word), "no \"", word, "\" in: ", output.err);
        CHECK_MESSAGE(says(output, file + ":"), "no position in: ", output.err);
    }
    CHECK(changed_keys(facts, lab.facts()) == std::set<std::string>{});
    auto left = lab.traces();
    for (const auto& trace : traces) left.erase(trace);
    CHECK_MESSAGE(left.empty(), joined(std::vector<std::string>(left.begin(), left.end()), "\n"));
}

}  // namespace

TEST_CASE("a bridge of the same name that somebody else made is a conflict and stays as it is") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    lab.must("ip link add br0 type bridge && ip addr add 10.9.9.9/24 dev br0");
    const std::string file = lab.write("stack.yaml", stack);
    check_refused(lab, file, {"link/br0 is already on this host and is not ours", "type bridge"});
    lab.must("ip link del br0");
    lab.must_apply(file);
}

TEST_CASE("a container of the same name that somebody else made is a conflict and stays as it is") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    lab.must("mkdir -p /var/lib/ctl/containers/a && echo 'lxc.uts.name = theirs' > /var/lib/ctl/containers/a/config");
    const std::string file = lab.write("stack.yaml", stack);
    check_refused(lab, file, {"container/a is already on this host and is not ours"});
    CHECK(lab.must("cat /var/lib/ctl/containers/a/config") == "lxc.uts.name = theirs\n");
}

TEST_CASE("a folder that keeps somebody else's containers is not taken for a new pool") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    lab.must("mkdir -p /run/lab/pool/containers/x && echo theirs > /run/lab/pool/containers/x/file");
    const std::string file = lab.write("stack.yaml", stack);
    const Output refused = lab.apply(file);
    CHECK_MESSAGE(refused.exit_code == 1, refused.out, refused.err);
    CHECK_MESSAGE(says(refused, "/run/lab/pool"), refused.err);
    CHECK(lab.must("cd /run/lab/pool && find . -mindepth 1") == "./containers\n./containers/x\n./containers/x/file\n");
    CHECK(lab.sh("ip link show br0").exit_code != 0);
}

TEST_CASE("what one stack has is not another's") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    const std::string mine = lab.write("mine.yaml", stack);
    lab.must_apply(mine);
    SUBCASE("a bridge") {
        const std::string theirs =
            lab.write("theirs.yaml",
                      "stack: theirs\nnetworks:\n- {name: br0, config: {ipv4.address: 10.51.0.1/24, ipv4.dhcp: false}}\n");
        check_refused(lab, theirs, {"link/br0 of Network/br0 belongs to Network/br0 of stack \"mine\""});
    }
    SUBCASE("a container") {
        check_refused(lab, lab.write("theirs.yaml", replaced(stack, "mine", "theirs")),
                      {"container/a of Container/a belongs to Container/a of stack \"mine\""});
    }
    SUBCASE("even when the records are lost") {
        lab.must("rm /var/lib/ctl/state.db*");
        check_refused(lab, lab.write("theirs.yaml", replaced(stack, "mine", "theirs")),
                      {"container/a of Container/a belongs to Container/a of stack \"mine\""});
    }
}

TEST_CASE("what somebody writes into a container's config is gone when the container has started again") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    const std::string coloured = replaced(stack, "- name: a\n", "- name: a\n  config: {environment.COLOUR: blue}\n");
    const std::string file = lab.write("stack.yaml", coloured);
    lab.must_apply(file);
    const std::string config = "/var/lib/ctl/containers/a/config";
    SUBCASE("a key that the manifest has, in a container that is stopped") {
        lab.must("lxc-stop -k -P /var/lib/ctl/containers -n a; grep -q COLOUR=blue " + config +
                 " && sed -i s/COLOUR=blue/COLOUR=red/ " + config);
        const auto planned = lab.planned(file);
        CHECK_MESSAGE(planned == std::vector<std::string>{"container/a update live: environment, state drifted"},
                      joined(planned, "; "));
        lab.must_apply(file);
        CHECK(lab.sh("grep -q COLOUR=blue " + config).exit_code == 0);
        CHECK(has(lab.must("tr '\\0' '\\n' < /proc/" + lab.init_pid("a") + "/environ"), "COLOUR=blue"));
    }
    SUBCASE("a key that the manifest has not, while the container runs with something else") {
        lab.must("echo 'lxc.proc.oom_score_adj = 123' >> " + config);
        CHECK(lab.planned(file).empty());
        lab.write("stack.yaml", replaced(coloured, "COLOUR: blue", "COLOUR: green"));
        lab.must_apply(file);
        CHECK(lab.sh("grep -q COLOUR=green " + config).exit_code == 0);
        CHECK(lab.sh("grep -q oom_score_adj " + config).exit_code != 0);
        CHECK(lab.must("cat /proc/" + lab.init_pid("a") + "/oom_score_adj") != "123\n");
    }
    SUBCASE("but without our mark the container is not ours") {
        lab.must("sed -i 1d " + config);
        check_refused(lab, file, {"container/a is already on this host and is not ours"});
    }
}

TEST_CASE("a copy of a container, mark and all, is nobody's") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    const std::string file = lab.write("stack.yaml", stack);
    lab.must_apply(file);
    // What lxc-copy does, but for the root filesystem.
    lab.must(
        "cd /var/lib/ctl/containers && mkdir copy && sed 's/lxc.uts.name = a/lxc.uts.name = copy/' a/config > copy/config "
        "&& "
        "grep -q 'lxc.uts.name = copy' copy/config");
    CHECK(lab.planned(file).empty());
    CHECK_FALSE(has(lab.ctl({"get", "containers"}).out, "copy"));
    const std::string with_copy = stack + "- {name: copy, image: busybox, devices: {eth0: {type: none}}}\n";
    check_refused(lab, lab.write("copy.yaml", with_copy), {"container/copy is already on this host and is not ours"});
    const std::string config = lab.must("cat /var/lib/ctl/containers/copy/config");
    CHECK(lab.ctl({"state", "rebuild"}).exit_code == 0);
    CHECK(lab.planned(file).empty());
    lab.must_delete(file);
    CHECK(lab.must("cat /var/lib/ctl/containers/copy/config") == config);
}

TEST_CASE("a pool stays with the driver it was made with") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    CTL_SKIP_IF(!lab.has_btrfs(), "needs btrfs");
    const std::string other = "config: {source: /run/lab/pool}";
    lab.must_apply(lab.write("stack.yaml", stack));
    const std::string file =
        lab.write("stack.yaml", replaced(stack, "driver: dir, " + other, "driver: btrfs, config: {size: 128MiB}"));
    check_refused(lab, file,
                  {"driver of pool/default can't change from \"dir\" to \"btrfs\"",
                   "take StoragePool/default and all that is in it out of the stack"});
}

TEST_CASE("a host interface that is not there is said before the first change") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    SUBCASE("below a macvlan network") {
        const auto traces = lab.traces();
        const Output refused = lab.apply("manifests/examples/04-macvlan-static.yaml");
        CHECK_MESSAGE(refused.exit_code == 1, refused.out, refused.err);
        CHECK_MESSAGE(says(refused, "04-macvlan-static.yaml:12:13: error: interface \"ens33\" is not on this host"),
                      refused.err);
        CHECK(lab.traces() == traces);
    }
    SUBCASE("in a bridge") {
        const std::string file = lab.write("stack.yaml", Lab::source("manifests/examples/08-lan-bridge.yaml"));
        check_refused(lab, file, {"interface \"enp4s0f0\" is not on this host"});
    }
}

TEST_CASE("one resource is deleted by its name, and only when nothing needs it") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    const std::string file = lab.write("stack.yaml", stack);
    lab.must_apply(file);
    const Facts before = lab.facts();

    const Output needed = lab.ctl({"delete", "network/br0", "--yes"});
    CHECK(needed.exit_code == 1);
    CHECK_MESSAGE(says(needed, "Network/br0 can't be deleted: Container/"), needed.err);
    CHECK(lab.ctl({"delete", "container/nobody", "--yes"}).exit_code == 1);
    CHECK_MESSAGE(lab.ctl({"delete", "container/a"}).exit_code == 9, "without --yes");
    CHECK(lab.facts() == before);

    CHECK(lab.ctl({"delete", "container/a", "--yes"}).exit_code == 0);
    const Facts after = lab.facts();
    CHECK(after.at("container/b init") == before.at("container/b init"));
    CHECK(lab.pings("b", "10.50.0.1"));
    for (const auto& fact : after)
        CHECK_MESSAGE((!fact.first.starts_with("container/a ") && !fact.first.starts_with("link/a:")),
                      "left behind: ", fact.first);
    CHECK(lab.sh("test -e /run/lab/pool/containers/a").exit_code != 0);
    CHECK_MESSAGE(lab.plan(file).exit_code == 2, "the manifest still wants it");
    lab.must_apply(file);
    CHECK(lab.pings("a", "10.50.0.1"));
}

}  // namespace ctl::testing
