#include <doctest/doctest.h>

#include <chrono>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "lab.h"
#include "support/wait.h"

// What people do to containers beside the manifest, and what plan, apply and watch make of it.

namespace ctl::testing {
namespace {

const std::string stack = busybox_ground("hands") + R"(containers:
- {name: web, image: busybox}
- {name: spare, image: busybox, state: stopped}
)";

std::string with(const std::string& from, const std::string& to) { return replaced(stack, from, to); }

struct Hands : Lab {
    std::string file = write("stack.yaml", stack);

    Hands() { must_apply(file); }

    void must_ctl(const std::vector<std::string>& arguments) const {
        const Output output = Sandbox::ctl(arguments);
        CHECK_MESSAGE(output.exit_code == 0, output.err);
    }
    /// As lxc-info says.
    [[nodiscard]] std::string state(const std::string& container) const {
        return std::string(trimmed(must("lxc-info -P /var/lib/ctl/containers -sH -n " + container)));
    }
};

}  // namespace

TEST_CASE("a container that ctl stopped stays stopped, one that died comes back") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Hands hands;
    hands.must_ctl({"stop", "web"});
    CHECK(hands.state("web") == "STOPPED");
    CHECK(hands.planned(hands.file).empty());
    CHECK(hands.plan(hands.file).out.find("ctl start web ends that") != std::string::npos);
    hands.must_apply(hands.file);
    CHECK(hands.state("web") == "STOPPED");
    SUBCASE("a changed setting doesn't start it") {
        hands.must_apply(hands.write("more.yaml", with("name: web,", "name: web, config: {limits.processes: 100},")));
        CHECK(hands.state("web") == "STOPPED");
        hands.must_ctl({"start", "web"});
        CHECK(hands.attach("web", "hostname").out == "web\n");
        CHECK(hands.plan(hands.write("more.yaml", with("name: web,", "name: web, config: {limits.processes: 100},")))
                  .exit_code == 0);
    }
    SUBCASE("ctl start ends that") {
        hands.must_ctl({"start", "web"});
        CHECK(hands.state("web") == "RUNNING");
        CHECK(hands.plan(hands.file).out.find("ends that") == std::string::npos);
        hands.must("lxc-stop -k -P /var/lib/ctl/containers -n web");
        CHECK(hands.planned(hands.file).size() == 1);
        hands.must_apply(hands.file);
        CHECK(hands.state("web") == "RUNNING");
    }
    SUBCASE("the manifest's own word counts more") {
        hands.must_apply(hands.write("off.yaml", with("name: web,", "name: web, state: stopped,")));
        CHECK(hands.state("web") == "STOPPED");
        CHECK_FALSE(has(hands.plan("/run/lab/off.yaml").out, "ends that"));
        CHECK(hands.planned(hands.file).size() == 1);
        hands.must_apply(hands.file);
        CHECK(hands.state("web") == "RUNNING");
        CHECK_FALSE(has(hands.plan(hands.file).out, "ends that"));
    }
    hands.must_delete(hands.file);
}

TEST_CASE("a container that shall be stopped runs for as long as a person wants it to") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Hands hands;
    hands.must_ctl({"start", "spare"});
    CHECK(hands.state("spare") == "RUNNING");
    hands.must_apply(hands.file);
    CHECK(hands.state("spare") == "RUNNING");
    hands.must_ctl({"stop", "spare"});
    CHECK(hands.plan(hands.file).out.find("ends that") == std::string::npos);
}

TEST_CASE("a frozen container stays frozen, and goes on where it was") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Hands hands;
    const std::string init = hands.init_pid("web");
    // A process that takes all the processor time it can get tells whether it runs.
    REQUIRE(hands.attach("web", "(while :; do :; done) > /dev/null 2>&1 & echo $! > /busy").exit_code == 0);
    const std::string rootfs = "/proc/" + init + "/root";
    const std::string ticks = "awk '{ print $14 }' " + rootfs + "/proc/$(cat " + rootfs + "/busy)/stat";
    const auto runs_within = [&](std::chrono::seconds time) {
        const std::string before = hands.line(ticks);
        return wait_until([&] { return hands.line(ticks) != before; }, time);
    };
    CHECK(runs_within(std::chrono::seconds{10}));
    hands.must_ctl({"freeze", "web"});
    CHECK(hands.state("web") == "FROZEN");
    CHECK_FALSE(runs_within(std::chrono::seconds{1}));
    hands.must_apply(hands.file);
    CHECK(hands.state("web") == "FROZEN");
    hands.must_ctl({"unfreeze", "web"});
    CHECK(hands.state("web") == "RUNNING");
    CHECK(runs_within(std::chrono::seconds{10}));
    CHECK(hands.init_pid("web") == init);
    for (const auto& [verb, done] : {std::pair("freeze", "frozen"), {"unfreeze", "thawed"}}) {
        const Output refused = hands.Sandbox::ctl({verb, "spare"});
        CHECK(refused.exit_code == 1);
        CHECK_MESSAGE(has(refused.err, fmt::format("container \"spare\" is stopped and can't be {}", done)), refused.err);
    }
    CHECK(hands.state("spare") == "STOPPED");
}

TEST_CASE("a restart gives a container another first process, and leaves no mark") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Hands hands;
    const std::string init = hands.init_pid("web");
    hands.must_ctl({"restart", "web", "--timeout", "5"});
    CHECK(hands.state("web") == "RUNNING");
    CHECK(hands.init_pid("web") != init);
    CHECK(hands.plan(hands.file).out.find("ends that") == std::string::npos);
}

TEST_CASE("a stop waits as long as it is told, and not at all by force") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Hands hands;
    const auto seconds_of = [&](const std::vector<std::string>& arguments) {
        // An init that hears its signal and does nothing about it.
        hands.write("deaf", R"(#!/bin/sh
trap 'touch /asked' USR1 USR2 PWR TERM
touch /ready
while :; do sleep 1000 & wait; done
)");
        hands.must(program +
                   " exec web -- sh -c 'rm -f /ready /asked; cat > /sbin/init.new; chmod 755 /sbin/init.new; mv "
                   "/sbin/init.new /sbin/init' < /run/lab/deaf");
        hands.must_ctl({"restart", "--force", "web"});
        hands.wait_for(program + " exec web -- test -e /ready");
        const auto begin = std::chrono::steady_clock::now();
        hands.must_ctl(arguments);
        const auto end = std::chrono::steady_clock::now();
        CHECK(hands.state("web") == "STOPPED");
        return std::chrono::duration<double>(end - begin).count();
    };
    const auto was_asked = [&] {
        return hands.sh("test -e /var/lib/ctl/pools/default/containers/web/rootfs/asked").exit_code == 0;
    };
    const double patient = seconds_of({"stop", "--timeout", "3", "web"});
    CHECK(was_asked());
    CHECK(patient >= 3);
    CHECK(patient < 8);
    hands.must_ctl({"start", "web"});
    CHECK(seconds_of({"stop", "--force", "web"}) < 2.5);
    CHECK_FALSE(was_asked());
}

TEST_CASE("after a reboot a start brings back what the container stands on") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Hands hands;
    hands.must_ctl({"stop", "web", "spare"});
    // What a reboot takes: namespaces and mounts.
    hands.must("umount /run/ctl/namespaces/web/*; rm -rf /run/ctl/namespaces/web");
    hands.must_ctl({"start", "web"});
    CHECK(hands.attach("web", "hostname").out == "web\n");
    hands.must_apply(hands.file);
}

TEST_CASE("watch leaves a stopped container stopped and starts one that died") {
    CTL_SKIP_WITHOUT_SANDBOX();
    Hands hands;
    hands.file = hands.write("three.yaml", stack + "- {name: other, image: busybox}\n");
    hands.must_apply(hands.file);
    hands.must("mkdir -p /run/stack; cp " + hands.file + " /run/stack/stack.yaml");
    const Watch watch(hands, "/run/stack");
    hands.must_ctl({"stop", "web"});
    // It has looked since, once it has brought back one that died later.
    hands.must("lxc-stop -k -P /var/lib/ctl/containers -n other");
    CHECK_MESSAGE(wait_until([&] { return hands.state("other") == "RUNNING"; }, std::chrono::seconds{30}), watch.log());
    CHECK(hands.state("web") == "STOPPED");
    CHECK(watch.end() == 0);
}

TEST_CASE("a container that nobody applied can't be stopped") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Hands hands;
    CHECK(hands.Sandbox::ctl({"stop", "ghost"}).err.find("no stack has applied Container/ghost") != std::string::npos);
    CHECK(hands.Sandbox::ctl({"stop", "ghost"}).exit_code == 1);
    CHECK(hands.Sandbox::ctl({"stop", "--force", "--timeout", "3", "web"}).exit_code == 64);
}

}  // namespace ctl::testing
