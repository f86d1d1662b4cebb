// `ctl watch` on a real host: what people and the kernel do to it, and that it becomes as the folder says again. How soon,
// and what the waiting costs, bench/ measures.

#include <fmt/format.h>
#include <sys/syscall.h>

#include <chrono>
#include <optional>
#include <sstream>
#include <string>

#include "lab.h"
#include "support/wait.h"

using namespace ctl::testing;

namespace {

constexpr std::chrono::seconds deadline{20};

std::string stack(const std::string& address, const std::string& more = "") {
    return busybox_ground("watched") +
           fmt::format(R"(networks: [{{name: wbr0, config: {{ipv4.address: {}, ipv4.dhcp: false}}}}]
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
class Watched : public Lab {
public:
    Watched() {
        must("mkdir /run/manifests");
        edit(stack(first_address));
        watch_anew();
        REQUIRE_MESSAGE(wait_until([&] { return is_up(); }, deadline), log());
    }

    void watch_anew() { watch_.emplace(*this, "/run/manifests"); }
    [[nodiscard]] int end() const { return watch_->end(); }
    [[nodiscard]] std::string log() const { return watch_->log(); }
    [[nodiscard]] bool has_said(const std::string& text) const { return watch_->has_said(text); }

    /// As an editor saves: aside, then renamed.
    void edit(const std::string& text) const {
        must(fmt::format("cat > /run/manifests/.new <<'END'\n{}\nEND\nmv /run/manifests/.new /run/manifests/stack.yaml",
                         text));
    }

    /// Both containers run, with their host sides on the bridge.
    [[nodiscard]] bool is_up() const {
        return sh("ls /sys/class/net/wbr0/brif/one0 /sys/class/net/wbr0/brif/two0").exit_code == 0 && runs("one") &&
               runs("two") && sh("ping -c 1 -W 1 10.80.0.2 && ping -c 1 -W 1 10.80.0.3").exit_code == 0;
    }

    [[nodiscard]] bool runs(const std::string& name) const {
        return sh("lxc-info -P /var/lib/ctl/containers -s -n " + name).out.find("RUNNING") != std::string::npos;
    }

    /// It has done all it had in mind and waits for somebody else to do something: for minutes, if nobody does.
    [[nodiscard]] bool rests() const {
        std::istringstream call(must(std::string("cat /proc/$(") + Watch::pid + ")/syscall"));
        std::string number;
        call >> number;
        if (number != std::to_string(SYS_epoll_pwait) && number != std::to_string(SYS_epoll_wait)) return false;
        std::string timeout;
        for (int argument = 0; argument < 4; ++argument) call >> timeout;
        return std::stol(timeout, nullptr, 16) > 60'000;
    }

    /// How many reconciliations changed something.
    [[nodiscard]] std::string runs_recorded() const { return must(program + " sql 'select max(id) from runs' | tail -1"); }

private:
    std::optional<Watch> watch_;
};

}  // namespace

TEST_CASE("A bridge deleted by hand is back with its ports, time and again") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Watched host;
    for (int round = 0; round < 5; ++round) {
        CHECK_MESSAGE(wait_until([&] { return host.rests(); }, deadline), host.log());
        host.must("ip link del wbr0");
        CHECK_MESSAGE(wait_until([&] { return host.is_up(); }, deadline), host.log());
    }
}

TEST_CASE("What is taken from a network by hand is put back") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Watched host;
    const auto has_address = [&] { return host.sh("ip addr show wbr0 | grep -q 10.80.0.1/24").exit_code == 0; };
    for (const std::string damage : {"ip addr del 10.80.0.1/24 dev wbr0", "ip link set one0 nomaster", "ip link del two0"}) {
        CAPTURE(damage);
        host.must(damage);
        CHECK_MESSAGE(wait_until([&] { return has_address() && host.is_up(); }, deadline), host.log());
    }
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

TEST_CASE("It hears its own changes without going round in circles, and rests until something happens") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Watched host;
    CHECK_MESSAGE(wait_until([&] { return host.rests(); }, deadline), host.log());
    CHECK(host.runs_recorded() == "1\n");
    host.must("ip link del wbr0");
    CHECK_MESSAGE(wait_until([&] { return host.is_up() && host.rests(); }, deadline), host.log());
    CHECK(host.runs_recorded() == "2\n");
}

TEST_CASE("It ends cleanly when it is told, leaves all as it is, and begins anew with nothing to do") {
    CTL_SKIP_WITHOUT_SANDBOX();
    Watched host;
    const auto runs = host.runs_recorded();
    CHECK(host.end() == 0);
    CHECK(host.has_said("stopped"));
    CHECK(host.is_up());
    host.watch_anew();
    CHECK_MESSAGE(wait_until([&] { return host.rests(); }, deadline), host.log());
    CHECK(host.end() == 0);
    CHECK(host.runs_recorded() == runs);
}
