#include <doctest/doctest.h>

#include <chrono>

#include "base/text.h"
#include "lab.h"

// What people do to containers beside the manifest, and what plan, apply and watch make of it.

namespace ctl::testing {
namespace {

const std::string ctl = CTL_BINARY_DIR "/ctl";

const std::string stack = busybox_ground("hands") + R"(containers:
- {name: web, image: busybox}
- {name: spare, image: busybox, state: stopped}
)";

std::string with(const std::string& from, const std::string& to) {
    std::string text = stack;
    return text.replace(text.find(from), from.size(), to);
}

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
        hands.must_apply(hands.file);
        CHECK(hands.state("web") == "RUNNING");
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
    hands.must_ctl({"freeze", "web"});
    CHECK(hands.state("web") == "FROZEN");
    hands.must_apply(hands.file);
    CHECK(hands.state("web") == "FROZEN");
    hands.must_ctl({"unfreeze", "web"});
    CHECK(hands.state("web") == "RUNNING");
    CHECK(hands.init_pid("web") == init);
    CHECK(hands.Sandbox::ctl({"freeze", "spare"}).exit_code == 1);
    CHECK(hands.Sandbox::ctl({"unfreeze", "spare"}).exit_code == 1);
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
        hands.must(
            "printf '#!/bin/sh\\ntrap : USR1 PWR\\ntouch /ready\\nwhile :; do sleep 1; done\\n' > /run/deaf; chmod 755 "
            "/run/deaf");
        hands.must(ctl +
                   " exec web -- sh -c 'rm -f /ready; cat > /sbin/init.new; chmod 755 /sbin/init.new; mv /sbin/init.new "
                   "/sbin/init' < /run/deaf");
        hands.must_ctl({"restart", "--force", "web"});
        hands.must("until " + ctl + " exec web -- test -e /ready; do :; done");
        const auto begin = std::chrono::steady_clock::now();
        hands.must_ctl(arguments);
        const auto end = std::chrono::steady_clock::now();
        CHECK(hands.state("web") == "STOPPED");
        hands.must_ctl({"start", "web"});
        return std::chrono::duration<double>(end - begin).count();
    };
    const double patient = seconds_of({"stop", "--timeout", "3", "web"});
    CHECK(patient >= 3);
    CHECK(patient < 8);
    CHECK(seconds_of({"stop", "--force", "web"}) < 2.5);
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
    hands.must("mkdir -p /run/stack; cp " + hands.file + " /run/stack/stack.yaml; setsid " + ctl +
               " watch /run/stack > /run/watch.log 2>&1 & echo $! > /run/watch.pid");
    hands.must("until grep -q 'read the stack' /run/watch.log; do :; done");
    hands.must_ctl({"stop", "web"});
    // It has looked since, once it has brought back one that died later.
    hands.must(
        "lxc-stop -k -P /var/lib/ctl/containers -n other; timeout 30 sh -c 'until lxc-info -P /var/lib/ctl/containers -sH "
        "-n "
        "other | grep -q RUNNING; do :; done'");
    CHECK(hands.state("web") == "STOPPED");
    hands.must("kill $(cat /run/watch.pid); while kill -0 $(cat /run/watch.pid) 2> /dev/null; do :; done");
}

TEST_CASE("a container that nobody applied can't be stopped") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Hands hands;
    CHECK(hands.Sandbox::ctl({"stop", "ghost"}).err.find("no stack has applied Container/ghost") != std::string::npos);
    CHECK(hands.Sandbox::ctl({"stop", "ghost"}).exit_code == 1);
    CHECK(hands.Sandbox::ctl({"stop", "--force", "--timeout", "3", "web"}).exit_code == 64);
}

}  // namespace ctl::testing
