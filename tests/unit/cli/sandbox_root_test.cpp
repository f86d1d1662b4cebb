#include "support/sandbox.h"

#include <doctest/doctest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <set>

#include "base/file.h"
#include "base/process.h"
#include "support/skip.h"
#include "support/spawn.h"
#include "support/wait.h"

namespace ctl::testing {
namespace {

namespace fs = std::filesystem;

const std::string ctl_program = CTL_BINARY_DIR "/ctl";

#define SKIP_WHERE_IMPOSSIBLE()                        \
    const auto impossible = Sandbox::why_impossible(); \
    CTL_SKIP_IF(impossible, *impossible)

ProcessResult in_sandbox(const std::string& script) {
    const auto result = run_process({ctl_program, "sandbox", "--", "sh", "-c", script}, std::chrono::seconds{60});
    REQUIRE(result);
    return *result;
}

/// A directory of the test's own, on a disk.
struct Directory {
    std::string path = "/var/tmp/ctl-test-XXXXXX";

    Directory() { REQUIRE(::mkdtemp(path.data()) != nullptr); }
    Directory(const Directory&) = delete;
    Directory& operator=(const Directory&) = delete;
    ~Directory() {
        std::error_code ignored;
        fs::remove_all(path, ignored);
    }
};

}  // namespace

TEST_CASE("the command's exit code is the sandbox's") {
    SKIP_WHERE_IMPOSSIBLE();
    CHECK(in_sandbox("exit 0").exit_code == 0);
    CHECK(in_sandbox("exit 7").exit_code == 7);
    CHECK(in_sandbox("kill -KILL $$").exit_code == 128 + SIGKILL);
}

TEST_CASE("a command that is not there is an error") {
    SKIP_WHERE_IMPOSSIBLE();
    const auto result = run_process({ctl_program, "sandbox", "--", "no-such-command"}, std::chrono::seconds{60});
    REQUIRE(result);
    CHECK(result->exit_code != 0);
    CHECK(result->err.find("no-such-command") != std::string::npos);
}

TEST_CASE("inside there is only a loopback link, also in sysfs, and it is up") {
    SKIP_WHERE_IMPOSSIBLE();
    CHECK(in_sandbox("ls /sys/class/net").out == "lo\n");
    CHECK(in_sandbox("ping -c 1 -W 5 127.0.0.1").exit_code == 0);
}

TEST_CASE("the state directory is empty and what is written to it does not reach the machine") {
    SKIP_WHERE_IMPOSSIBLE();
    const bool was_there = fs::exists("/var/lib/ctl");
    CHECK(in_sandbox("ls -A /var/lib/ctl && touch /var/lib/ctl/in-the-sandbox").out.empty());
    CHECK_FALSE(fs::exists("/var/lib/ctl/in-the-sandbox"));
    CHECK(fs::exists("/var/lib/ctl") == was_there);
}

TEST_CASE("every process is at the top of its own cgroups") {
    SKIP_WHERE_IMPOSSIBLE();
    const std::string cgroups = in_sandbox("cut -d: -f3 /proc/self/cgroup | sort -u").out;
    CHECK(std::set<std::string>{"/\n", "/\n/init.scope\n", "/init.scope\n"}.contains(cgroups));
}

TEST_CASE("a sandbox works in a sandbox") {
    SKIP_WHERE_IMPOSSIBLE();
    CHECK(in_sandbox(ctl_program + " sandbox -- sh -c 'hostname; exit 5'").out == "sandbox\n");
    CHECK(in_sandbox(ctl_program + " sandbox -- sh -c 'exit 5'").exit_code == 5);
}

TEST_CASE("processes that the command leaves behind end with it") {
    SKIP_WHERE_IMPOSSIBLE();
    const Directory shared;
    const std::string fifo = shared.path + "/held-open";
    // The reader sees the end of the stream only when nobody has it open for writing any more. It is opened before the
    // process is left behind, which may be gone before it has begun.
    const auto result = run_process({"sh", "-c", R"(mkfifo "$2"; cat "$2" & reader=$!
        "$1" sandbox -- sh -c 'exec > "$0"; setsid sleep 1000 & exit 3' "$2"; code=$?
        wait $reader; exit $code)",
                                     "sh", ctl_program, fifo},
                                    std::chrono::seconds{60});
    REQUIRE(result);
    CHECK(result->exit_code == 3);
}

TEST_CASE("a frozen process does not keep a sandbox from ending") {
    SKIP_WHERE_IMPOSSIBLE();
    const auto result = in_sandbox(
        "if [ -d /sys/fs/cgroup/freezer ]; then box=/sys/fs/cgroup/freezer/box; else box=/sys/fs/cgroup/box; fi; mkdir $box;"
        "tail -f /dev/null & echo $! > $box/cgroup.procs;"
        "if [ -e $box/freezer.state ]; then echo FROZEN > $box/freezer.state; cat $box/freezer.state;"
        "else echo 1 > $box/cgroup.freeze; echo FROZEN; fi");
    CHECK(result.out.find("FR") != std::string::npos);
    CHECK(result.exit_code == 0);
}

TEST_CASE("a kept state is there the next time") {
    SKIP_WHERE_IMPOSSIBLE();
    const Directory state;
    const auto run = [&](const std::string& script) {
        return run_process({ctl_program, "sandbox", "--keep-state", state.path, "--", "sh", "-c", script},
                           std::chrono::seconds{60});
    };
    REQUIRE(run("echo kept > /var/lib/ctl/note"));
    const auto again = run("cat /var/lib/ctl/note");
    REQUIRE(again);
    CHECK(again->out == "kept\n");
}

TEST_CASE("when ctl is killed all inside dies, and the next sandbox removes what was left") {
    SKIP_WHERE_IMPOSSIBLE();
    const Directory scratch;
    ::setenv("TMPDIR", scratch.path.c_str(), 1);
    const pid_t killed = spawn_beside({ctl_program, "sandbox", "--", "sleep", "infinity"});
    REQUIRE(killed > 0);
    const fs::path base = fs::path(scratch.path) / "ctl-sandbox";
    std::string inside;
    REQUIRE(wait_until([&] {
        const auto children = read_file("/proc/" + std::to_string(killed) + "/task/" + std::to_string(killed) + "/children");
        inside = children ? *children : "";
        return std::atoi(inside.c_str()) > 0;
    }));

    ::kill(killed, SIGKILL);
    ::waitpid(killed, nullptr, 0);

    CHECK(wait_until([&] { return ::kill(std::atoi(inside.c_str()), 0) != 0; }));
    CHECK_FALSE(fs::is_empty(base));
    CHECK(in_sandbox("true").exit_code == 0);
    CHECK(fs::is_empty(base));
    ::unsetenv("TMPDIR");
}

TEST_CASE("tests reach a LAN through a link with the name they asked for") {
    SKIP_WHERE_IMPOSSIBLE();
    const Sandbox host;
    host.add_lan("enp4s0f0", {"192.168.7.2/24"}, {"192.168.7.1/24"});
    CHECK(host.sh("ping -c 1 -W 5 192.168.7.1").exit_code == 0);
    CHECK(host.lan_sh("ping -c 1 -W 5 192.168.7.2").exit_code == 0);
    CHECK(host.sh("ip -j link show enp4s0f0").json().Size() == 1);
}

TEST_CASE("a sandbox is given an Open vSwitch of its own by an option") {
    SKIP_WHERE_IMPOSSIBLE();
    const auto result = run_process({ctl_program, "sandbox", "--open-vswitch", "--", "ovs-vsctl", "--timeout=20", "add-br",
                                     "br0", "--", "set", "bridge", "br0", "datapath_type=netdev", "--", "list-br"},
                                    std::chrono::seconds{60});
    REQUIRE(result);
    CHECK_MESSAGE(result->exit_code == 0, result->err);
    CHECK(result->out == "br0\n");
}

TEST_CASE("a sandbox can have an Open vSwitch of its own at the usual place") {
    SKIP_WHERE_IMPOSSIBLE();
    const Sandbox host;
    host.start_open_vswitch();
    host.must("ovs-vsctl --timeout=20 add-br ovs-br0 -- set bridge ovs-br0 datapath_type=netdev");
    CHECK(host.sh("ip link show ovs-br0").exit_code == 0);
}

}  // namespace ctl::testing
