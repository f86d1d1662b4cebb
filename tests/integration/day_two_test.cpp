#include <doctest/doctest.h>

#include "base/text.h"
#include "lab.h"

// What a container is and takes, against what the kernel and lxc's own tools say, and files in and out of it.

namespace ctl::testing {
namespace {

const std::string example = "manifests/examples/22-day-two.yaml";

struct Day : Lab {
    std::set<std::string> before = traces();

    Day() { must_apply(example); }

    [[nodiscard]] std::string inside(const std::string& script) const {
        return std::string(trimmed(attach("web", script).out));
    }
    [[nodiscard]] Output cp(std::vector<std::string> arguments) const {
        arguments.insert(arguments.begin(), "cp");
        return Sandbox::ctl(std::move(arguments));
    }
    void must_cp(std::vector<std::string> arguments) const {
        const Output output = cp(std::move(arguments));
        CHECK_MESSAGE(output.exit_code == 0, output.err);
    }
};

}  // namespace

TEST_CASE("info tells of a container what lxc-info and the kernel tell") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Day day;
    CHECK(day.pings("web", "10.22.0.12"));
    const auto fact = [&](const std::string& query) {
        return day.line(program + " info web -o json | jq -r '" + query + "'");
    };
    CHECK(fact(".state") == "running");
    CHECK(fact(".profiles") == "default,limited");
    CHECK(fact(".usage.pid") == day.init_pid("web"));
    CHECK(std::stol(fact(".usage.processes")) >= 1);
    CHECK(std::stol(fact(".usage.cpu_ns")) > 0);
    const long peak = std::stol(fact(".usage.memory_peak"));
    CHECK(std::stol(fact(".usage.memory")) <= peak);
    CHECK(peak > 0);
    CHECK(peak <= 64 * 1024 * 1024);
    const std::string nic = ".interfaces[] | select(.name == \"eth0\") | ";
    CHECK(fact(nic + ".addresses[0]") == "10.22.0.11/24");
    CHECK(fact(nic + ".network") == "lab0");
    CHECK(day.line("ip -j link show master lab0 | jq -r '.[].ifname' | grep -c \"$(" + program +
                   " info web -o json | jq -r '.interfaces[0].host_side')\"") == "1");
    const std::string bytes = "ip -s -j link show eth0 | jq '.[0].stats64.tx.bytes'";
    const long first = std::stol(day.in_netns("web", bytes).out);
    const long ours = std::stol(fact(nic + ".counters.tx_bytes"));
    CHECK(first > 0);
    CHECK(first <= ours);
    CHECK(ours <= std::stol(day.in_netns("web", bytes).out));
    const std::string text = day.must(program + " info web");
    for (const std::string label : {"State          running\n", "PID            ", "CPU            ", "Memory         ",
                                    "Memory peak    ", "    received   ", "    sent       "})
        CHECK_MESSAGE(text.find(label) != std::string::npos, label);
    SUBCASE("of one that a person stopped it says so") {
        day.must(program + " stop web");
        CHECK(day.must(program + " info web").find("State          stopped, by ctl stop\n") != std::string::npos);
        CHECK(day.must(program + " info web").find("PID") == std::string::npos);
    }
    day.must_delete(example);
    day.check_nothing_left(day.before);
}

TEST_CASE("top shows first what is busiest") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Day day;
    CHECK(day.attach("db", "(while :; do :; done) > /dev/null 2>&1 &").exit_code == 0);
    const std::string table = day.must(program + " top --interval 0.5");
    const auto lines = split(table, '\n');
    REQUIRE(lines.size() >= 3);
    CHECK(lines[0].starts_with("NAME"));
    CHECK_MESSAGE(lines[1].starts_with("db "), table);
    CHECK(lines[2].starts_with("web "));
    // The share of a container that spins: between something and one CPU.
    const double share = std::stod(std::string(trimmed(lines[1].substr(2))));
    CHECK(share > 5);
    CHECK(share < 110);
}

TEST_CASE("files and directories go in and come out, with owners on both sides") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Day day;
    day.must(
        "mkdir -p /run/files/tree/deep; cd /run/files; head -c 700000 /dev/urandom > big; printf one > tree/one; "
        "printf two > tree/deep/two; ln -s one tree/link; chmod 750 tree/deep; chmod 4755 tree/one; chown 33:34 "
        "tree/deep/two");
    for (const bool running : {true, false}) {
        INFO(running);
        day.must_cp({"/run/files/big", "web:/root"});
        day.must_cp({"/run/files/tree", "web:/root/copy"});
        day.must_cp({"-a", "/run/files/tree", "web:/root/kept"});
        day.must_cp({"--owner", "65534:1", "/run/files/big", "web:/tmp/theirs"});
        if (!running) day.must(program + " start web");
        CHECK(day.inside("sha256sum < /root/big") == day.line("sha256sum < /run/files/big"));
        CHECK(day.inside("stat -c '%u:%g %a' /root/big /root/copy /root/copy/one /root/copy/deep /root/copy/deep/two | tr "
                         "'\\n' ' '") == "0:0 644 0:0 755 0:0 755 0:0 750 0:0 644");
        CHECK(day.inside("stat -c '%u:%g %a' /root/kept/one /root/kept/deep/two | tr '\\n' ' '") == "0:0 4755 33:34 644");
        CHECK(day.inside("stat -c '%u:%g' /tmp/theirs") == "65534:1");
        CHECK(day.inside("readlink /root/copy/link; cat /root/copy/link") == "one\none");
        CHECK(day.inside("ls -A /root | tr '\\n' ' '") == "big copy kept");

        day.must("rm -rf /run/out; mkdir /run/out");
        day.must_cp({"web:/root/copy", "/run/out"});
        day.must_cp({"-a", "web:/root/kept", "/run/out/kept"});
        day.must_cp({"web:/root/big", "/run/out/new-name"});
        CHECK(day.line("cmp /run/out/new-name /run/files/big && diff -r /run/out/copy /run/files/tree && echo same") ==
              "same");
        CHECK(day.line("stat -c '%u:%g %a' /run/out/copy/one /run/out/kept/deep/two | tr '\\n' ' '") == "0:0 755 33:34 644");
        // A set-id program of a container's is no program of the host's root.
        CHECK(day.line("find /run/out -perm /7000 | wc -l") == "0");
        CHECK(day.attach("web", "rm -rf /root/* /tmp/theirs").exit_code == 0);
        if (running) day.must(program + " stop web");
    }
    SUBCASE("through pipes") {
        CHECK(day.must("printf hello | " + program + " cp - web:/tmp/hello; " + program + " cp web:/tmp/hello -") ==
              "hello");
    }
    SUBCASE("what isn't there is an error, and two sides are needed") {
        CHECK(day.cp({"web:/nothing", "/run"}).exit_code == 1);
        CHECK(day.cp({"/run/nothing", "web:/tmp"}).exit_code == 1);
        CHECK(day.cp({"/run/files/big", "web:/nowhere/file"}).exit_code == 1);
        CHECK(day.cp({"/run/files/big", "ghost:/tmp"}).exit_code == 1);
        CHECK(day.cp({"/run/files/big", "/run/other"}).exit_code == 3);
        CHECK(day.cp({"web:/tmp", "db:/tmp"}).exit_code == 3);
        CHECK(day.cp({"--owner", "70000", "/run/files/big", "web:/tmp"}).exit_code == 3);
    }
}

TEST_CASE("no link of a container's leads a copy out of it") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Day day;
    bool runs = true;
    SUBCASE("while it runs") {}
    SUBCASE("while it is stopped, and its root is reached through the host") { runs = false; }
    day.must("mkdir /run/secret; echo secret > /run/secret/key; echo file > /run/file");
    REQUIRE(day.attach("web",
                       "mkdir /trap /box; ln -s /run/secret/key /trap/key; ln -s /run/secret /trap/dir; ln -s "
                       "../../../../../../run/secret "
                       "/trap/up; ln -s /proc/1/root/run/secret /trap/magic; mknod /box/pipe p; ln -s /run/file /box/link")
                .exit_code == 0);
    if (!runs) day.must(program + " stop web");
    for (const std::string path : {"key", "dir/key", "up/key", "magic/key"}) {
        CHECK(day.cp({"web:/trap/" + path, "/run/out"}).exit_code != 0);
        CHECK(day.sh("test -e /run/out").exit_code != 0);
    }
    for (const std::string path : {"dir/new", "up/new", "magic/new"})
        CHECK(day.cp({"/run/file", "web:/trap/" + path}).exit_code != 0);
    CHECK(day.line("ls /run/secret") == "key");
    // A link is replaced, not written through.
    day.must_cp({"/run/file", "web:/trap/key"});
    CHECK(day.line("cat /run/secret/key") == "secret");
    CHECK(day.line(program + " cp web:/trap/key -") == "file");
    // Copied with a directory it stays a link, and a pipe isn't read.
    const Output output = day.cp({"web:/box", "/run/box"});
    CHECK(output.exit_code == 0);
    CHECK(output.err.find("/box/pipe") != std::string::npos);
    CHECK(day.line("readlink /run/box/link") == "/run/file");
}

TEST_CASE("what is mounted in a running container is where files go") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Day day;
    REQUIRE(day.attach("web", "mount -t tmpfs tmpfs /mnt").exit_code == 0);
    day.must("echo hello > /run/hello");
    day.must_cp({"/run/hello", "web:/mnt"});
    CHECK(day.inside("cat /mnt/hello; stat -c %u /mnt/hello") == "hello\n0");
    day.must_cp({"web:/mnt/hello", "/run/back"});
    CHECK(day.line("cat /run/back") == "hello");
}

}  // namespace ctl::testing
