#include <doctest/doctest.h>

#include <chrono>

#include <fmt/format.h>

#include "base/text.h"
#include "lab.h"

// What a container may do, and what may be done to it: nesting, system calls, ids, protection.

namespace ctl::testing {
namespace {

std::string stack(const std::string& config, const std::string& more = "") {
    return busybox_ground("security") + fmt::format(R"(containers:
- name: a
  image: busybox
  config:
    user.note: x
{}
{})",
                                                    config, more);
}

std::string first_id(const Lab& lab, const std::string& container) {
    return std::string(trimmed(lab.must("awk '{ print $2, $3; exit }' /proc/" + lab.init_pid(container) + "/uid_map")));
}

constexpr const char* start_inner = R"sh(
export PATH=/usr/bin:/usr/sbin:/bin:/sbin
mkdir -p /n/lxc /n/rootfs/bin /n/rootfs/proc /n/rootfs/sys /n/rootfs/dev
cp /bin/busybox /n/rootfs/bin/
printf '%s\n' 'lxc.uts.name = inner' 'lxc.rootfs.path = dir:/n/rootfs' 'lxc.net.0.type = empty' \
    'lxc.mount.auto = proc:rw sys:ro' 'lxc.tty.max = 0' 'lxc.init.cmd = /bin/busybox sleep 1000' > /n/config
lxc-start -P /n/lxc -n inner -f /n/config
lxc-attach -P /n/lxc -n inner -- /bin/busybox hostname
)sh";

}  // namespace

TEST_CASE("15: a container that is started inside a container runs") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    const auto before = lab.traces();
    const std::string example = "manifests/examples/15-nesting.yaml";
    lab.must_apply(example);
    CHECK(lab.must("awk '{ print $2; exit }' /proc/" + lab.init_pid("outer") + "/uid_map") == "100000\n");
    const Output inner = lab.attach("outer", start_inner);
    CHECK_MESSAGE(inner.out == "inner\n", inner.out, inner.err);
    const Output namespaces = lab.attach("outer", "unshare -U -r -m -p -f --mount-proc sh -c 'echo $$'");
    CHECK_MESSAGE(namespaces.out == "1\n", namespaces.out, namespaces.err);

    const std::string without = replaced(Lab::source(example), "security.nesting: true", "user.note: no");
    CHECK(lab.planned(lab.write("stack.yaml", without)) ==
          std::vector<std::string>{"container/outer update restart: raw changed"});
    lab.must_delete(example);
    lab.check_nothing_left(before);
}

TEST_CASE("system calls are refused as the manifest says, and what changes that restarts the container") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    const auto before = lab.traces();
    const std::string file = lab.write("stack.yaml", stack(""));
    lab.must_apply(file);
    CHECK(lab.attach("a", "hostname b").exit_code == 0);
    CHECK(lab.attach("a", "hostname").out == "b\n");
    // What is refused to everybody: to unmount by force.
    const Output forced = lab.attach("a", "mkdir /m && mount -t tmpfs none /m && umount -f /m");
    CHECK_MESSAGE((forced.exit_code != 0 && has(forced.err, "Permission denied")), forced.err);
    CHECK(lab.attach("a", "umount /m").exit_code == 0);
    const auto refuses = [&](const std::string& config, const std::string& words) {
        lab.write("stack.yaml", stack(config));
        const auto planned = lab.planned(file);
        CHECK_MESSAGE((planned.size() == 1 && planned[0] == "container/a update restart: seccomp changed"),
                      joined(planned, "; "));
        lab.must_apply(file);
        const Output refused = lab.attach("a", "hostname b");
        CHECK_MESSAGE((refused.exit_code != 0 && has(refused.err, words)), config, refused.err);
        CHECK(lab.attach("a", "hostname").out == "a\n");
    };
    refuses("    security.syscalls.deny: sethostname", "Operation not permitted");
    refuses("    security.syscalls.blacklist: sethostname errno 13\n    security.syscalls.blacklist_default: false",
            "Permission denied");
    refuses("    raw.seccomp: |\n      2\n      denylist\n      [all]\n      sethostname errno 14", "Bad address");
    lab.write("stack.yaml", stack("    security.syscalls.deny: sethostname\n    raw.seccomp: '2'"));
    CHECK(has(lab.apply(file).err, "raw.seccomp at "));
    lab.write("stack.yaml", stack(""));
    lab.must_apply(file);
    CHECK(lab.attach("a", "hostname b").exit_code == 0);
    lab.must_delete(file);
    lab.check_nothing_left(before);
}

TEST_CASE("a protected container is not deleted, and protecting it leaves it alone") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    const std::string file = lab.write("stack.yaml", stack(""));
    lab.must_apply(file);
    const std::string init = lab.init_pid("a");
    lab.write("stack.yaml", stack("    security.protection.delete: true"));
    lab.must_apply(file);
    const Output refused = lab.ctl({"delete", "-f", file, "--yes"});
    CHECK(refused.exit_code != 0);
    CHECK_MESSAGE(has(refused.err, "container/a"), refused.err);
    std::string empty = stack("    security.protection.delete: true");
    empty.erase(empty.find("containers:"));
    lab.write("stack.yaml", empty);
    const Output planned = lab.plan(file);
    CHECK_MESSAGE((planned.exit_code != 0 && has(planned.err, "security.protection.delete: false")), planned.out,
                  planned.err);
    CHECK(lab.init_pid("a") == init);
    lab.write("stack.yaml", stack("    security.protection.delete: false"));
    lab.must_apply(file);
    CHECK(lab.init_pid("a") == init);
    lab.must_delete(file);
}

TEST_CASE("a container has the ids that it asks for, or a range that no other has") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    const std::string b = "- {name: b, image: busybox, config: {security.idmap.isolated: true}}";
    const std::string file =
        lab.write("stack.yaml", stack("    security.idmap.base: 300000\n    security.idmap.size: 1000", b));
    lab.must_apply(file);
    CHECK(first_id(lab, "a") == "300000 1000");
    const std::string isolated = first_id(lab, "b");
    CHECK(isolated.ends_with(" 65536"));
    CHECK_FALSE(isolated.starts_with("100000 "));
    CHECK(lab.attach("a", "touch /made; stat -c %u /made").out == "0\n");
    CHECK(lab.attach("a", "chown 999 /made").exit_code == 0);
    CHECK(lab.attach("a", "chown 1000 /made").exit_code != 0);

    lab.write("stack.yaml", stack("    security.idmap.isolated: true", b));
    lab.must_apply(file);
    CHECK(first_id(lab, "b") == isolated);
    const std::string chosen = first_id(lab, "a");
    CHECK(chosen != isolated);
    CHECK(lab.attach("a", "stat -c %u /made").out == "999\n");

    lab.write("stack.yaml", stack("    security.idmap.isolated: true\n    security.protection.shift: true", b));
    lab.must_apply(file);
    CHECK(first_id(lab, "a") == chosen);
    lab.write("stack.yaml", stack("    security.privileged: true\n    security.protection.shift: true", b));
    const Output refused = lab.apply(file);
    CHECK_MESSAGE((refused.exit_code != 0 && has(refused.err, "security.protection.shift is set")), refused.err);
    CHECK(first_id(lab, "a") == chosen);
}

TEST_CASE("ids that /etc/subuid does not give to root are refused before anything is made") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    lab.must(
        "mkdir -p /run/lab; touch /run/lab/empty; echo root:100000:65535 > /run/lab/subuid; "
        "mount --bind /run/lab/subuid /etc/subuid && mount --bind /run/lab/empty /etc/subgid");
    const std::string file = lab.write("stack.yaml", stack(""));
    const Output refused = lab.apply(file);
    CHECK(refused.exit_code != 0);
    CHECK_MESSAGE(has(refused.err, "it needs the ids 100000 to 165535, but /etc/subuid gives root only 100000 to 165534"),
                  refused.err);
    CHECK(lab.sh("test -e /var/lib/ctl/containers/a").exit_code != 0);
    lab.must_apply(lab.write("stack.yaml", stack("    security.idmap.size: 65535")));
    lab.must("echo root:100000:65536 > /run/lab/subuid");
    lab.must_apply(lab.write("stack.yaml", stack("")));
}

TEST_CASE("what the host can't do for a container is told before anything is made") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    const auto refuses = [&](const std::string& config, const std::string& words) {
        const Output refused = lab.apply(lab.write("stack.yaml", stack("    " + config)));
        CHECK_MESSAGE((refused.exit_code != 0 && has(refused.err, words)), config, refused.err);
        CHECK(lab.sh("test -e /var/lib/ctl/containers/a").exit_code != 0);
    };
    refuses("linux.kernel_modules: '--force'", "is no name of a kernel module");
    refuses("security.syscalls.deny: 'a; b'", "is no system call");
    if (lab.sh("test -e /sys/module/apparmor").exit_code != 0)
        refuses("raw.apparmor: 'mount fstype=ext4,'", "raw.apparmor needs AppArmor");
    refuses("nvidia.runtime: true", "nvidia.runtime is not supported; libnvidia-container");
}

TEST_CASE("a container that does not end in its time is killed, and modules that are there need no loading") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    const std::string module = lab.must("ls /sys/module | head -1 | tr -d '\\n'");
    const std::string config = fmt::format(
        "    boot.host_shutdown_timeout: 2\n    linux.kernel_modules: {}\n    raw.lxc: lxc.signal.halt = SIGURG", module);
    const std::string file = lab.write("stack.yaml", stack(config, "  state: running"));
    lab.must_apply(file);
    // A busybox that is alone has nothing to end, and isn't waited for.
    REQUIRE(lab.attach("a", "sleep 1000 > /dev/null 2>&1 &").exit_code == 0);
    lab.write("stack.yaml", stack(config, "  state: stopped"));
    const auto begin = std::chrono::steady_clock::now();
    const Output stopped = lab.apply(file);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    CHECK_MESSAGE(stopped.exit_code == 0, stopped.err);
    CHECK_MESSAGE(took.count() >= 2, "it had its time: ", took.count());
    CHECK_MESSAGE(took.count() < 8, took.count());
    CHECK(lab.must("lxc-info -P /var/lib/ctl/containers -n a -s -H") == "STOPPED\n");
}

}  // namespace ctl::testing
