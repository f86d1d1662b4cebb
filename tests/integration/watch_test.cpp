// `ctl watch` on a real host: what people and the kernel do to it, and how soon it is as the folder says again.

#include <fmt/format.h>

#include <chrono>
#include <string>

#include "support/inventory.h"
#include "support/sandbox.h"
#include "support/skip.h"
#include "support/wait.h"

using namespace ctl::testing;

namespace {

const std::string program = CTL_BINARY_DIR "/ctl";
constexpr std::chrono::seconds deadline{20};

std::string stack(const std::string& address, const std::string& more = "") {
    return fmt::format(R"(stack: watched
storage_pools: [{{name: default, driver: dir}}]
networks: [{{name: wbr0, config: {{ipv4.address: {}, ipv4.dhcp: false}}}}]
images: [{{name: busybox, source: {{type: busybox}}}}]
profiles:
- name: default
  devices: {{root: {{type: disk, path: /, pool: default}}}}
containers:
- name: one
  image: busybox
  devices: {{eth0: {{type: nic, nictype: bridged, parent: wbr0, name: eth0, host_name: one0, ipv4.address: 10.80.0.2}}}}
- name: two
  image: busybox
  devices: {{eth0: {{type: nic, nictype: bridged, parent: wbr0, name: eth0, host_name: two0, ipv4.address: 10.80.0.3}}}}
{})",
                       address, more);
}

const std::string first_address = "10.80.0.1/24";
const std::string third_container = "- name: three\n  image: busybox\n";

/// A host with a `ctl watch` on it that has applied its folder.
class Watched : public Sandbox {
public:
    Watched() {
        must("mkdir /run/manifests");
        edit(stack(first_address));
        must(program + " watch /run/manifests > /run/watch.log 2>&1 & echo $! > /run/watch.pid");
        REQUIRE_MESSAGE(wait_until([&] { return is_up(); }, deadline), log());
    }

    /// As an editor saves: aside, then renamed.
    void edit(const std::string& text) const {
        must(fmt::format("cat > /run/manifests/.new <<'END'\n{}\nEND\nmv /run/manifests/.new /run/manifests/stack.yaml",
                         text));
    }

    [[nodiscard]] std::string log() const { return must("cat /run/watch.log"); }
    [[nodiscard]] bool has_said(const std::string& text) const { return log().find(text) != std::string::npos; }

    /// Both containers run, with their host sides on the bridge.
    [[nodiscard]] bool is_up() const {
        return sh("ls /sys/class/net/wbr0/brif/one0 /sys/class/net/wbr0/brif/two0").exit_code == 0 && runs("one") &&
               runs("two") && sh("ping -c 1 -W 1 10.80.0.2 && ping -c 1 -W 1 10.80.0.3").exit_code == 0;
    }

    [[nodiscard]] bool runs(const std::string& name) const {
        return sh("lxc-info -P /var/lib/ctl/containers -s -n " + name).out.find("RUNNING") != std::string::npos;
    }

    [[nodiscard]] std::string init_pid(const std::string& name) const {
        return must("lxc-info -P /var/lib/ctl/containers -p -H -n " + name + " || true");
    }

    /// Waits until the program has nothing to do any more: two looks, some time apart, show the same CPU time. In ticks.
    [[nodiscard]] long settled_cpu() const {
        long last = -1;
        const auto is_quiet = [&] {
            const long before = last;
            must("sleep 0.5");
            last = std::stol(must("awk '{print $14 + $15}' /proc/$(cat /run/watch.pid)/stat"));
            return last == before;
        };
        CHECK(wait_until(is_quiet, deadline));
        return last;
    }

    [[nodiscard]] long cpu_nanoseconds() const {
        return std::stol(must("awk '{sum += $1} END {printf \"%d\", sum}' /proc/$(cat /run/watch.pid)/task/*/schedstat"));
    }

    /// Milliseconds from a command of the shell until a condition of the shell holds.
    [[nodiscard]] long latency(const std::string& command, const std::string& condition) const {
        const auto output = must(fmt::format(R"(begin=$(date +%s%N); {}
            for i in $(seq 4000); do if {}; then break; fi; sleep 0.002; done
            echo $((($(date +%s%N) - begin) / 1000000)))",
                                             command, condition));
        return std::stol(output);
    }
};

const std::string has_ports = "[ -e /sys/class/net/wbr0/brif/one0 ] && [ -e /sys/class/net/wbr0/brif/two0 ]";

}  // namespace

#define CTL_SKIP_WITHOUT_SANDBOX() CTL_SKIP_IF(Sandbox::why_impossible(), *Sandbox::why_impossible())

TEST_CASE("A bridge deleted by hand is back with its ports at once") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Watched host;
    (void)host.settled_cpu();
    std::string all;
    for (int round = 0; round < 5; ++round) {
        const long milliseconds = host.latency("ip link del wbr0", has_ports);
        all += fmt::format(" {}", milliseconds);
        CHECK(milliseconds < 3000);
        CHECK_MESSAGE(wait_until([&] { return host.is_up(); }, deadline), host.log());
    }
    MESSAGE("milliseconds until the bridge was back:", all);
}

TEST_CASE("What is taken from a network by hand is put back") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Watched host;
    MESSAGE("address: ", host.latency("ip addr del 10.80.0.1/24 dev wbr0", "ip addr show wbr0 | grep -q 10.80.0.1/24"),
            " ms");
    CHECK_MESSAGE(wait_until([&] { return host.is_up(); }, deadline), host.log());
    MESSAGE("port: ", host.latency("ip link set one0 nomaster", has_ports), " ms");
    CHECK_MESSAGE(wait_until([&] { return host.is_up(); }, deadline), host.log());
    MESSAGE("veth: ", host.latency("ip link del two0", has_ports), " ms");
    CHECK_MESSAGE(wait_until([&] { return host.is_up(); }, deadline), host.log());
}

TEST_CASE("A container that dies is started again") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Watched host;
    const auto before = host.init_pid("one");
    host.must("kill -9 " + before);
    const auto is_new = [&] { return host.runs("one") && host.init_pid("one") != before; };
    CHECK_MESSAGE(wait_until(is_new, deadline), host.log());
    CHECK_MESSAGE(wait_until([&] { return host.is_up(); }, deadline), host.log());
}

TEST_CASE("An edit is applied, and a broken one leaves the last good revision in force") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Watched host;
    const auto one = host.init_pid("one");
    host.edit(stack("10.80.0.9/24", third_container));
    CHECK_MESSAGE(wait_until([&] { return host.runs("three"); }, deadline), host.log());
    CHECK(host.sh("ip addr show wbr0 | grep -q 10.80.0.9/24").exit_code == 0);

    host.edit("stack: watched\ncontainers: [}");
    CHECK_MESSAGE(wait_until([&] { return host.has_said("the last good revision stays in force"); }, deadline), host.log());
    CHECK(host.has_said("stack.yaml:2"));
    host.must("ip link del wbr0");
    CHECK_MESSAGE(wait_until([&] { return host.sh("ip addr show wbr0 | grep -q 10.80.0.9/24").exit_code == 0; }, deadline),
                  host.log());
    CHECK(host.runs("three"));
    CHECK(host.init_pid("one") == one);
}

TEST_CASE("A container that left the folder is kept until somebody says yes") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Watched host;
    host.edit(stack(first_address, third_container));
    CHECK_MESSAGE(wait_until([&] { return host.runs("three"); }, deadline), host.log());
    host.edit(stack("10.80.0.9/24"));
    CHECK_MESSAGE(wait_until([&] { return host.has_said("container/three would be deleted"); }, deadline), host.log());
    // The rest of the edit is applied all the same.
    CHECK_MESSAGE(wait_until([&] { return host.sh("ip addr show wbr0 | grep -q 10.80.0.9/24").exit_code == 0; }, deadline),
                  host.log());
    CHECK(host.runs("three"));
    const auto agreed = host.ctl({"apply", "-f", "/run/manifests/stack.yaml", "--yes", "--lock-timeout", "20"});
    CHECK_MESSAGE(agreed.exit_code == 0, agreed.out, agreed.err);
    CHECK_FALSE(host.runs("three"));
}

TEST_CASE("It hears its own changes without going round in circles, takes no CPU when idle, and ends cleanly") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Watched host;
    host.must("ip link del wbr0");
    CHECK_MESSAGE(wait_until([&] { return host.is_up(); }, deadline), host.log());
    (void)host.settled_cpu();
    const auto runs = host.must(program + " sql 'select max(id) from runs' | tail -1");
    const long before = host.cpu_nanoseconds();
    host.must("sleep 4");
    const double milliseconds = static_cast<double>(host.cpu_nanoseconds() - before) / 1e6;
    MESSAGE("CPU in 4 idle seconds: ", milliseconds, " ms, ", host.must("grep VmRSS /proc/$(cat /run/watch.pid)/status"));
    CHECK(milliseconds < 5);
    CHECK(host.must(program + " sql 'select max(id) from runs' | tail -1") == runs);

    host.must("kill -TERM $(cat /run/watch.pid)");
    CHECK(wait_until([&] { return host.sh("test -e /proc/$(cat /run/watch.pid)").exit_code != 0; }, deadline));
    CHECK(host.has_said("stopped"));
    CHECK(host.is_up());
    const auto again =
        host.sh(program +
                " watch /run/manifests > /run/again.log 2>&1 & pid=$!; "
                "until grep -qs 'read the stack' /run/again.log; do sleep 0.01; done; kill -TERM $pid; wait $pid");
    CHECK(again.exit_code == 0);
}
