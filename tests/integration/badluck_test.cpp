// What bad input and bad luck get: an exit code, a message, and a host that is as it was.

#include <fmt/format.h>

#include <chrono>
#include <string>
#include <vector>

#include "base/text.h"
#include "support/inventory.h"
#include "support/sandbox.h"
#include "support/skip.h"
#include "support/wait.h"

using namespace ctl::testing;

namespace {

const std::string program = CTL_BINARY_DIR "/ctl";
const std::string die_at = CTL_BINARY_DIR "/tests/ctl-die-at.so";

constexpr const char* two_containers = R"(stack: lab
storage_pools: [{name: default, driver: dir, trash: 0}]
networks: [{name: labbr0, config: {ipv4.address: 10.70.0.1/24, ipv4.dhcp: false}}]
images: [{name: busybox, source: {type: busybox}}]
profiles:
- name: default
  devices: {root: {type: disk, path: /, pool: default}}
containers:
- name: one
  image: busybox
  devices: {eth0: {type: nic, nictype: bridged, parent: labbr0, name: eth0, ipv4.address: 10.70.0.2}}
- name: two
  image: busybox
)";

/// A host on which things go wrong.
class Host : public Sandbox {
public:
    std::string write(const std::string& name, const std::string& text) const {
        const std::string path = "/run/" + name;
        must(fmt::format("cat > {} <<'END'\n{}\nEND", path, text));
        return path;
    }

    /// A stack of one container from a tarball.
    [[nodiscard]] std::string tarball_stack(const std::string& tarball) const {
        return write("tarball.yaml", fmt::format(R"(stack: lab
storage_pools: [{{name: default, driver: dir}}]
images: [{{name: image, source: {{type: tarball, path: {}}}}}]
containers:
- name: one
  image: image
  devices: {{root: {{type: disk, path: /, pool: default}}}}
)",
                                                 tarball));
    }

    /// ctl with a signal on its way to it at the Nth commit of its journal.
    [[nodiscard]] Output signalled(int signal, int commit, const std::vector<std::string>& arguments) const {
        std::vector<std::string> argv{"env",
                                      "LD_PRELOAD=" + die_at,
                                      "ASAN_OPTIONS=verify_asan_link_order=0",
                                      fmt::format("DIE_AT=commit:{}", commit),
                                      fmt::format("DIE_WITH={}", signal),
                                      program};
        argv.insert(argv.end(), arguments.begin(), arguments.end());
        return run(argv);
    }
};

// Sanitizers shadow all memory.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool is_sanitized = true;
#else
constexpr bool is_sanitized = false;
#endif

bool says(const Output& output, const std::string& text) {
    return output.err.find(text) != std::string::npos || output.out.find(text) != std::string::npos;
}

/// What is there without files: links, mounts, cgroups, processes.
Inventory without_files(const Inventory& all) {
    Inventory rest;
    for (const auto& fact : all)
        if (!fact.starts_with("file ") && fact.find("/run/ctl/namespaces") == std::string::npos) rest.insert(fact);
    return rest;
}

}  // namespace

#define CTL_SKIP_WITHOUT_SANDBOX() CTL_SKIP_IF(Sandbox::why_impossible(), *Sandbox::why_impossible())

TEST_CASE("Somebody who isn't root is told so, and nothing changes") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Host host;
    const auto file = host.write("stack.yaml", two_containers);
    const auto before = take_inventory(host);
    const auto output =
        host.run({"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", program, "apply", "-f", file, "--yes"});
    CHECK(output.exit_code == 1);
    CHECK(says(output, "root"));
    CHECK(differences(before, take_inventory(host)) == "");
}

TEST_CASE("A missing driver hurts only those who need it, and before the first change") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Host host;
    const auto file = host.write("stack.yaml", two_containers);
    host.must("mkdir /run/none && cp -r " CTL_BINARY_DIR "/lib/ctl /run/modules && rm /run/modules/drivers/*lxc*");
    const std::string without_lxc = "/run/modules/drivers";
    const auto before = take_inventory(host);

    const auto apply = host.ctl({"--driver-dir", without_lxc, "apply", "-f", file, "--yes"});
    CHECK(apply.exit_code == 10);
    CHECK_MESSAGE(says(apply, "container"), apply.err);
    CHECK(differences(without_files(before), without_files(take_inventory(host))) == "");

    const auto validate = host.ctl({"--driver-dir", "/run/none", "validate", "-f", file});
    CHECK_MESSAGE(validate.exit_code == 0, validate.err);
    const auto bridge = host.write("bridge.yaml",
                                   "stack: net\nnetworks: [{name: netbr0, config: {ipv4.address: 10.71.0.1/24, "
                                   "ipv4.dhcp: false}}]");
    const auto network_only = host.ctl({"--driver-dir", without_lxc, "apply", "-f", bridge, "--yes"});
    CHECK_MESSAGE(network_only.exit_code == 0, network_only.out, network_only.err);
}

TEST_CASE("A pool that can't be written, or is full, is refused before the first change") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Host host;
    host.must(
        "mkdir /run/full /run/sealed && mount -t tmpfs -o size=1m tmpfs /run/full && mount -t tmpfs -o ro tmpfs "
        "/run/sealed");
    const auto before = take_inventory(host);
    for (const std::string place : {"full", "sealed"}) {
        CAPTURE(place);
        std::string text = two_containers;
        text.replace(text.find("driver: dir"), 11, fmt::format("driver: dir, config: {{source: /run/{}/pool}}", place));
        const auto output = host.apply(host.write(place + ".yaml", text));
        CHECK(output.exit_code == 1);
        CHECK(says(output, "/run/" + place));
        CHECK(differences(without_files(before), without_files(take_inventory(host))) == "");
        CHECK(host.must("ls -A /run/" + place) == "");
    }
}

TEST_CASE("A disk that gets full in the middle is said to be full, and nothing half-made stays on it") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Host host;
    host.must(
        "mkdir -p /run/small /run/tree/bin && mount -t tmpfs -o size=48m tmpfs /run/small && "
        "cp /bin/busybox /run/tree/bin/sh && dd if=/dev/urandom of=/run/tree/big bs=1M count=64 status=none");
    std::string text = two_containers;
    text.replace(text.find("type: busybox"), 13, "type: directory, path: /run/tree");
    const auto file = host.write("stack.yaml", text);
    const auto output = host.ctl({"--state-dir", "/run/small/state", "apply", "-f", file, "--yes"});
    CHECK_MESSAGE(output.exit_code == 6, output.out, output.err);
    CHECK_MESSAGE(says(output, "No space left"), output.err);
    CHECK(host.must("find /run/small -name '.ctl-tmp-*'") == "");
    CHECK(std::stol(host.must("du -sk /run/small | cut -f1")) < 2048);
    const auto gone = host.ctl({"--state-dir", "/run/small/state", "delete", "-f", file, "--yes"});
    CHECK_MESSAGE(gone.exit_code == 0, gone.out, gone.err);
}

TEST_CASE("Of two applies at once the second fails with who is at work, or waits for it") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Host host;
    const auto file = host.write("stack.yaml", two_containers);
    // The first stops in its tracks in the middle, with the lock in its hands.
    host.must(fmt::format(
        "env LD_PRELOAD={} ASAN_OPTIONS=verify_asan_link_order=0 DIE_AT=change:100 DIE_WITH=19 {} apply -f {} --yes "
        "> /run/first.log 2>&1 & echo $! > /run/first",
        die_at, program, file));
    REQUIRE(wait_until([&] { return host.sh("grep -q '^State:.T' /proc/$(cat /run/first)/status").exit_code == 0; }));
    const auto first = host.must("cat /run/first");

    const auto refused = host.apply(file);
    CHECK(refused.exit_code == 8);
    CHECK_MESSAGE(says(refused, "pid " + first.substr(0, first.find('\n'))), first, refused.err);
    const auto waiting =
        host.sh(fmt::format("{} apply -f {} --yes --lock-timeout 20 > /run/second.log 2>&1 & second=$!; "
                            "kill -CONT $(cat /run/first); wait $second",
                            program, file));
    CHECK_MESSAGE(waiting.exit_code == 0, host.must("cat /run/first.log /run/second.log"));
    CHECK(host.plan(file).exit_code == 0);
}

TEST_CASE("What is in the way and isn't ours is named and left alone") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Host host;
    const auto file = host.write("stack.yaml", two_containers);
    host.must("ip link add labbr0 type bridge");
    const auto before = take_inventory(host);
    const auto link = host.apply(file);
    CHECK(link.exit_code == 1);
    CHECK(says(link, "labbr0"));
    CHECK(says(link, "not ours"));
    CHECK(differences(without_files(before), without_files(take_inventory(host))) == "");

    host.must(
        "ip link del labbr0 && mkdir -p /var/lib/ctl/containers/two && echo 'lxc.uts.name = two' > "
        "/var/lib/ctl/containers/two/config");
    const auto container = host.apply(file);
    CHECK(container.exit_code == 1);
    CHECK(says(container, "container/two"));
    CHECK(host.must("cat /var/lib/ctl/containers/two/config") == "lxc.uts.name = two\n");
}

TEST_CASE("Hostile tarballs are refused or kept in their root, and leave nothing half-made") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Host host;
    host.must(R"(mkdir /run/tars && cd /run/tars && cat > make.py <<'END'
import io, tarfile
def tar(name, *members):
    with tarfile.open(name, 'w') as t:
        for path, kind, target in members:
            m = tarfile.TarInfo(path)
            m.type, m.linkname, m.mode = kind, target if kind != tarfile.REGTYPE else '', 0o755
            data = target.encode() if kind == tarfile.REGTYPE else b''
            m.size = len(data)
            if kind in (tarfile.CHRTYPE, tarfile.BLKTYPE): m.devmajor, m.devminor = 8, 0
            t.addfile(m, io.BytesIO(data))
R, S, H, D = tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE
shell = ('bin/sh', R, 'x')
tar('absolute.tar', shell, ('/run/tars/pwned', R, 'x'))
tar('dots.tar', shell, ('../../../../../../../../run/tars/pwned', R, 'x'))
tar('symlink.tar', shell, ('out', S, '/run/tars'), ('out/pwned', R, 'x'))
tar('relative.tar', shell, ('out', S, '../../../../../../../run/tars'), ('out/pwned', R, 'x'))
tar('hardlink.tar', shell, ('passwd', H, '/etc/passwd'), ('passwd', R, 'x'))
tar('device.tar', shell, ('dev/sda', tarfile.BLKTYPE, ''), ('dev/mem', tarfile.CHRTYPE, ''))
END
python3 make.py && sha256sum /etc/passwd > before)");
    for (const std::string name : {"absolute", "dots", "symlink", "relative", "hardlink", "device"}) {
        CAPTURE(name);
        const auto file = host.tarball_stack(fmt::format("/run/tars/{}.tar", name));
        const auto output = host.apply(file);
        CHECK_MESSAGE((output.exit_code == 0 || output.exit_code == 1 || output.exit_code == 6 || output.exit_code == 7),
                      output.err);
        CHECK(host.sh("test -e /run/tars/pwned").exit_code == 1);
        CHECK(host.sh("sha256sum --check --status /run/tars/before").exit_code == 0);
        CHECK(host.must("find /var/lib/ctl -name work -prune -o '(' -type b -o -type c ')' -print") == "");
        CHECK(host.must("find /var/lib/ctl -name '.ctl-tmp-*'") == "");
        REQUIRE(host.ctl({"delete", "-f", file, "--yes"}).exit_code == 0);
        CHECK(host.must("ls /var/lib/ctl/images/sha256 /var/lib/ctl/containers 2>/dev/null | grep -v : | tr -d '\\n'") ==
              "");
    }
}

TEST_CASE("Ten gigabytes of zeros in a small tarball take neither the disk nor the day") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Host host;
    // 10 GiB in one member after a small one; what a compressor makes of it is some hundred kilobytes.
    host.must(R"(mkdir -p /run/bomb/bin && cd /run/bomb && echo x > bin/sh && truncate -s 10G zeros &&
                 (tar -cf - --format=gnu bin/sh zeros | zstd -q -1 -o /run/bomb.tar.zst))",
              std::chrono::seconds{120});
    const auto taken_kilobytes = [&] { return std::stol(host.must("mkdir -p /var/lib/ctl && du -sk /var/lib/ctl")); };
    const long before = taken_kilobytes();
    const auto file = host.tarball_stack("/run/bomb.tar.zst");
    const auto output = host.apply(file);
    CHECK((output.exit_code == 0 || output.exit_code == 1 || output.exit_code == 6));
    CHECK(taken_kilobytes() - before < 100'000);
    CHECK(host.must("find /var/lib/ctl -name '.ctl-tmp-*'") == "");
}

TEST_CASE("Ctrl-C finishes what runs, starts nothing new, and the next apply does the rest") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Host host;
    const auto file = host.write("stack.yaml", two_containers);
    const auto output = host.signalled(2, 4, {"apply", "-f", file, "--yes", "--parallelism", "1"});
    CHECK_MESSAGE(output.exit_code == 130, output.out, output.err);
    CHECK_FALSE(says(output, " 0 not started"));
    CHECK(host.must(program + " sql \"select count(*) as n from steps where state = 'started'\" | tail -1") == "0\n");
    CHECK(host.sh("pgrep -x init").exit_code == 1);
    const auto rest = host.apply(file);
    CHECK_MESSAGE(rest.exit_code == 0, rest.out, rest.err);
    CHECK(host.plan(file).exit_code == 0);
}

TEST_CASE("A lost journal is made anew from the marks on the host") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Host host;
    const auto file = host.write("stack.yaml", two_containers);
    REQUIRE(host.apply(file).exit_code == 0);
    const auto before = take_inventory(host);
    host.must("rm /var/lib/ctl/state.db*");
    const auto rebuilt = host.ctl({"state", "rebuild"});
    CHECK_MESSAGE(rebuilt.exit_code == 0, rebuilt.err);
    CHECK(says(rebuilt, "stack lab"));
    const auto plan = host.plan(file);
    CHECK_MESSAGE(plan.exit_code == 0, plan.out, plan.err);
    CHECK(host.apply(file).exit_code == 0);
    CHECK(differences(before, take_inventory(host)) == "");
    // What is recorded again can be deleted again.
    const auto gone = host.ctl({"delete", "-f", file, "--yes"});
    CHECK_MESSAGE(gone.exit_code == 0, gone.out, gone.err);
    CHECK(host.sh("ip link show labbr0 || ls -d /var/lib/ctl/containers/*").exit_code != 0);
}

TEST_CASE("A damaged journal is said to be so, and nothing is done without it") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Host host;
    const auto file = host.write("stack.yaml", two_containers);
    REQUIRE(host.apply(file).exit_code == 0);
    const auto before = take_inventory(host);
    host.must("rm -f /var/lib/ctl/state.db-*; dd if=/dev/urandom of=/var/lib/ctl/state.db bs=4096 count=8 status=none");
    const auto output = host.apply(file);
    CHECK(output.exit_code != 0);
    CHECK(says(output, "damaged"));
    CHECK(says(output, "ctl state rebuild"));
    CHECK(differences(before, take_inventory(host)) == "");
    host.must("mv /var/lib/ctl/state.db /run/damaged && " + program + " state rebuild");
    CHECK(host.plan(file).exit_code == 0);
}

TEST_CASE("ctl sql reads and never writes") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Host host;
    REQUIRE(host.apply(host.write("stack.yaml", two_containers)).exit_code == 0);
    CHECK(host.must(program + " sql 'select count(*) > 5 as many from objects' | tail -1") == "1\n");
    for (const std::string statement :
         {"delete from objects", "drop table objects", "update objects set name = 'x'", "attach '/run/other.db' as o",
          "pragma user_version = 99", "select 1; delete from objects", "vacuum into '/run/copy.db'"}) {
        CAPTURE(statement);
        CHECK(host.ctl({"sql", statement}).exit_code != 0);
    }
    CHECK(host.sh("ls /run/other.db /run/copy.db").exit_code != 0);
    CHECK(host.must(program + " sql 'select count(*) > 5 as many from objects' | tail -1") == "1\n");
}

TEST_CASE("A step that fails stops what stands on it, and nothing else") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Host host;
    // Its root filesystem has an init that can't be run: the container is made, and does not start.
    host.must(
        "mkdir -p /run/tree/sbin /run/tree/bin && echo nonsense > /run/tree/sbin/init && chmod 755 /run/tree/sbin/init");
    const auto file = host.write("stack.yaml", std::string(two_containers) + R"(- name: broken
  image: nonsense
- name: after
  image: busybox
  depends_on: [broken]
)");
    host.must(
        "sed -i 's|^images:.*|images: [{name: busybox, source: {type: busybox}}, {name: nonsense, source: {type: directory, "
        "path: /run/tree}}]|' " +
        file);
    const auto output = host.apply(file);
    CHECK_MESSAGE(output.exit_code == 6, output.out, output.err);
    CHECK(says(output, "container/broken"));
    CHECK(says(output, "blocked"));
    const auto state = [&](const std::string& name) {
        return host.sh("lxc-info -P /var/lib/ctl/containers -s -n " + name + " 2>/dev/null").out;
    };
    CHECK(state("one").find("RUNNING") != std::string::npos);
    CHECK(state("two").find("RUNNING") != std::string::npos);
    CHECK(state("after").find("RUNNING") == std::string::npos);
}

TEST_CASE("With --on-failure rollback a failure leaves the host as it was") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Host host;
    const auto good = host.write("good.yaml", two_containers);
    REQUIRE(host.apply(good).exit_code == 0);
    // Liblxc keeps the cgroup lxc.pivot from the first stop of a container on.
    host.must("lxc-stop -k -P /var/lib/ctl/containers -n two");
    REQUIRE(host.apply(good).exit_code == 0);
    const auto before = take_inventory(host);
    host.must(
        "mkdir -p /run/tree/sbin /run/tree/bin && echo nonsense > /run/tree/sbin/init && chmod 755 /run/tree/sbin/init");
    const auto bad = host.write("bad.yaml", std::string(two_containers) + "- name: broken\n  image: nonsense\n");
    host.must(
        "sed -i 's|^images:.*|images: [{name: busybox, source: {type: busybox}}, {name: nonsense, source: {type: directory, "
        "path: /run/tree}}]|; "
        "s|10.70.0.1/24|10.70.0.9/24|' " +
        bad);
    const auto output = host.apply(bad, {"--on-failure", "rollback"});
    CHECK_MESSAGE(output.exit_code == 5, output.out, output.err);
    const auto is_file_of_test = [](const std::string& fact) {
        return fact.starts_with("file /run/") && !fact.starts_with("file /run/ctl");
    };
    auto expected = before;
    auto found = take_inventory(host);
    std::erase_if(expected, is_file_of_test);
    std::erase_if(found, is_file_of_test);
    CHECK(differences(expected, found) == "");
    CHECK(host.plan(good).exit_code == 0);
}

TEST_CASE("Hostile YAML is refused with its place and in little memory") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Host host;
    const auto names = host.must(CTL_SOURCE_DIR "/bench/make-hostile /run");
    for (const auto name : ctl::split(names, '\n')) {
        if (name.empty()) continue;
        CAPTURE(name);
        const auto output = host.sh(fmt::format(
            "/usr/bin/time -o /run/cost -f %M {} validate -f /run/{}.yaml; code=$?; tail -1 /run/cost; exit $code", program,
            name));
        CHECK_MESSAGE(output.exit_code == 3, output.err.substr(0, 400));
        CHECK(says(output, fmt::format("{}.yaml:", name)));
        if (!is_sanitized) CHECK(std::stol(host.must("tail -1 /run/cost")) < 200 * 1024);
    }
    CHECK(host.sh("ls /var/lib/ctl/state.db").exit_code != 0);
}
