#include <doctest/doctest.h>

#include "base/text.h"
#include "lab.h"

// Commands in containers, and what containers have written.

namespace ctl::testing {
namespace {

const std::string stack = busybox_ground("hands") + R"(containers:
- {name: web, image: busybox, config: {environment.GREETING: hello}}
- {name: old, image: busybox, config: {security.privileged: true}}
)";

struct Hands : Lab {
    Hands() { must_apply(write("stack.yaml", stack)); }

    [[nodiscard]] Output exec(std::vector<std::string> arguments) const {
        arguments.insert(arguments.begin(), "exec");
        return Sandbox::ctl(std::move(arguments));
    }
    /// What the command prints, without the line end.
    [[nodiscard]] std::string says(std::vector<std::string> arguments) const {
        const Output output = exec(std::move(arguments));
        CHECK_MESSAGE(output.exit_code == 0, output.err);
        return std::string(trimmed(output.out));
    }
    /// A line of shell at a terminal of 100 columns and 40 rows.
    [[nodiscard]] Output at_terminal(const std::string& script) const {
        return run({"script", "-qefc", "stty rows 40 cols 100; " + script, "/dev/null"});
    }
};

/// A field of /proc/PID/status, as the container's own process 1 and a command in it have it.
std::string status_of(const Hands& hands, const std::string& container, const std::string& process,
                      const std::string& field) {
    return hands.says({container, "--", "sh", "-c", "sed -n 's/^" + field + ":[ \t]*//p' /proc/" + process + "/status"});
}

}  // namespace

TEST_CASE("a command's exit code is passed on") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Hands hands;
    CHECK(hands.exec({"web", "--", "true"}).exit_code == 0);
    CHECK(hands.exec({"web", "--", "sh", "-c", "exit 3"}).exit_code == 3);
    CHECK(hands.exec({"web", "--", "sh", "-c", "kill -TERM $$"}).exit_code == 128 + 15);
    CHECK(hands.exec({"web", "--", "no-such-program"}).exit_code == 127);
    CHECK(hands.exec({"web", "--", "/etc/passwd"}).exit_code == 126);
    CHECK(hands.exec({"web", "--", "/root"}).exit_code == 126);
    CHECK(hands.exec({"web", "--cwd", "/nowhere", "--", "true"}).exit_code == 125);
    CHECK(hands.exec({"web", "--user", "stranger", "--", "true"}).exit_code == 125);
    CHECK(hands.exec({"nobody-knows", "--", "true"}).exit_code == 125);
    CHECK(hands.exec({"../web", "--", "true"}).exit_code == 125);
}

TEST_CASE("a command has the container's identity, and the user, directory and variables that were asked for") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Hands hands;
    CHECK(hands.says({"web", "--", "hostname"}) == "web");
    CHECK(hands.says({"web", "--", "id", "-u"}) == "0");
    CHECK(hands.says({"web", "--", "pwd"}) == "/root");
    CHECK(hands.says({"web", "--", "sh", "-c", "echo $HOME $USER $GREETING $container"}) == "/root root hello lxc");
    CHECK(hands.says({"web", "--user", "nobody", "--cwd", "/tmp", "--", "sh", "-c",
                      "echo $(id -u) $(id -g) $(pwd) $USER"}) == "65534 65534 /tmp nobody");
    CHECK(hands.says({"web", "--user", "1000:1001", "--", "id"}) == "uid=1000 gid=1001");
    CHECK(hands.says({"web", "--env", "A=one two", "--env", "GREETING=bye", "--", "sh", "-c", "echo $A $GREETING"}) ==
          "one two bye");
    // Nothing of the caller's own environment gets in.
    CHECK(hands.must("SECRET=x " + program + " exec web -- env").find("SECRET") == std::string::npos);
    CHECK(hands.exec({"web", "--env", "nonsense", "--", "true"}).exit_code == 125);
}

TEST_CASE("a command is confined as the container is") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Hands hands;
    for (const std::string container : {"web", "old"}) {
        INFO(container);
        for (const std::string field : {"CapBnd", "CapEff", "Seccomp", "NoNewPrivs"}) {
            CHECK_MESSAGE(status_of(hands, container, "self", field) == status_of(hands, container, "1", field), field);
        }
        const std::string same =
            "for n in cgroup ipc mnt net pid user uts; do "
            "[ \"$(readlink /proc/self/ns/$n)\" = \"$(readlink /proc/1/ns/$n)\" ] || echo $n; done";
        CHECK(hands.says({container, "--", "sh", "-c", same}).empty());
    }
    SUBCASE("on the host it is nobody, in the container's cgroups") {
        hands.must(program + " exec web -- sleep 1234 > /dev/null 2>&1 &");
        hands.wait_for("pgrep -fx 'sleep 1234' > /run/pid");
        CHECK(hands.line("stat -c %u /proc/$(cat /run/pid)") == "100000");
        CHECK(std::stoi(hands.line("grep -c /ctl/web/payload /proc/$(cat /run/pid)/cgroup")) > 0);
        CHECK(hands.line("grep -vc /ctl/web/payload /proc/$(cat /run/pid)/cgroup || true") ==
              hands.line("grep -vc /ctl/web/payload /proc/" + hands.init_pid("web") + "/cgroup || true"));
        hands.must("kill -9 $(cat /run/pid)");
    }
}

TEST_CASE("without a terminal all three streams are the command's, byte by byte") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Hands hands;
    const Output output = hands.exec({"web", "--", "sh", "-c", "echo out; echo err >&2"});
    CHECK(output.out == "out\n");
    CHECK(output.err == "err\n");
    CHECK(hands.must("head -c 3000000 /dev/urandom > /run/in; " + program +
                     " exec web -- cat < /run/in | cmp - /run/in; echo $?") == "0\n");
    // A filter whose reader goes away ends.
    CHECK(hands.must(program + " exec web -- yes | head -n 1") == "y\n");
    // What is left running keeps nobody waiting.
    CHECK(hands.must(program + " exec web -- sh -c 'sleep 1000 & echo done'") == "done\n");
    SUBCASE("a descriptor of the host's is no way out") {
        CHECK(hands.must(program + " exec web -- sh -c 'readlink /proc/self/fd/0' < /") != "/\n");
        CHECK(hands.must("exec 7< /; " + program + " exec web -- sh -c 'ls /proc/self/fd' | tr '\\n' ' '").find('7') ==
              std::string::npos);
    }
    SUBCASE("an interrupt reaches the command") {
        CHECK(hands.must("timeout 60 " + program + " exec web -- sh -c 'kill -INT $$; echo unreachable'; echo $?") ==
              "130\n");
        hands.must("(" + program +
                   " exec web -- sh -c 'trap \"echo caught; exit 9\" TERM; touch /tmp/ready; sleep 1000 & wait' > "
                   "/run/caught & echo $! > /run/pid; wait $!; echo $? >> /run/caught) > /dev/null 2>&1 &");
        hands.wait_for(program + " exec web -- test -e /tmp/ready");
        hands.must("kill -TERM $(cat /run/pid)");
        hands.wait_for("grep -q 9 /run/caught");
        CHECK(hands.must("cat /run/caught") == "caught\n9\n");
    }
}

TEST_CASE("at a terminal the command has one of the container's, of the same size") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Hands hands;
    const Output sized = hands.at_terminal(program + " exec web -- sh -c 'tty; stty size; test -c $(tty) && echo found'");
    CHECK(sized.out.find("/dev/pts/") != std::string::npos);
    CHECK(sized.out.find("40 100\r\n") != std::string::npos);
    CHECK(sized.out.find("found") != std::string::npos);
    CHECK(hands.at_terminal(program + " exec web -- sh -c 'exit 7'").exit_code == 7);
    SUBCASE("it follows when the size changes") {
        const Output resized = hands.at_terminal(
            "(" + shell_until(program + " exec -T web -- test -e /tmp/ready < /dev/null") +
            "; stty rows 33 cols 77 < /dev/tty) & " + program +
            " exec web -- sh -c 'trap \"stty size; exit 5\" WINCH; touch /tmp/ready; while :; do sleep 1; done'");
        CHECK(resized.out.find("33 77") != std::string::npos);
        CHECK(resized.exit_code == 5);
    }
    SUBCASE("a user owns his terminal") {
        CHECK(hands.at_terminal(program + " exec --user nobody web -- sh -c 'stat -c %U $(tty); echo x > $(tty)'")
                  .out.find("nobody") != std::string::npos);
    }
    SUBCASE("without one it can't reach the caller's") {
        const Output none = hands.at_terminal(program + " exec -T web -- sh -c 'tty; (: < /dev/tty) || echo unreachable'");
        CHECK(none.out.find("not a tty") != std::string::npos);
        CHECK(none.out.find("unreachable") != std::string::npos);
    }
    SUBCASE("one can be had for what comes from a pipe, and ends with it") {
        CHECK(hands.must("echo hello | " + program + " exec -t web -- cat").find("hello\r\nhello\r\n") != std::string::npos);
    }
}

TEST_CASE("a container that isn't there, doesn't run or is frozen is said to be so") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Hands hands;
    CHECK(hands.exec({"ghost", "--", "true"}).err.find("is not on this host") != std::string::npos);
    hands.must("lxc-stop -k -P /var/lib/ctl/containers -n old");
    CHECK(hands.exec({"old", "--", "true"}).err.find("is not running") != std::string::npos);
    hands.must("lxc-freeze -P /var/lib/ctl/containers -n web");
    const Output frozen = hands.exec({"web", "--", "true"});
    CHECK(frozen.exit_code == 125);
    CHECK(frozen.err.find("is frozen") != std::string::npos);
    hands.must("lxc-unfreeze -P /var/lib/ctl/containers -n web");
}

TEST_CASE("logs shows what a container wrote to its console, and follows it") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Hands hands;
    REQUIRE(hands.exec({"web", "--", "sh", "-c", "printf 'one\\033[2Jtwo\\n' > /dev/console"}).exit_code == 0);
    hands.wait_for(program + " logs web | grep -q two");
    CHECK(has(hands.must(program + " logs web"), "one\033[2Jtwo"));
    // Only a terminal is protected from what a container writes.
    CHECK(hands.at_terminal(program + " logs web").out.find("one\\x1b[2Jtwo") != std::string::npos);
    // What comes later than it, too.
    hands.must(program + " logs -f web > /run/followed 2>&1 & echo $! > /run/pid");
    hands.wait_for("grep -q two /run/followed");
    REQUIRE(hands.exec({"web", "--", "sh", "-c", "echo three > /dev/console"}).exit_code == 0);
    hands.wait_for("grep -q three /run/followed");
    hands.must("kill $(cat /run/pid)");
    const Output ghost = hands.Sandbox::ctl({"logs", "ghost"});
    CHECK_MESSAGE((ghost.exit_code == 1 && has(ghost.err, "ghost")), ghost.err);
    hands.must("echo marked >> /run/ctl/containers/web.log");
    CHECK(hands.Sandbox::ctl({"logs", "--lxc", "web"}).out == hands.must("cat /run/ctl/containers/web.log"));
}

TEST_CASE("the console is joined and left") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Hands hands;
    // Something at the other end that says what it has read; what is typed comes out of it, or nobody read it.
    REQUIRE(hands
                .exec({"web", "--", "sh", "-c",
                       "while read line; do echo heard $line; done < /dev/console > /dev/console 2>&1 &"})
                .exit_code == 0);
    for (const std::string word : {"first", "second"}) {
        // Keys that are pressed before the console is joined are lost: this person presses them again.
        const Output joined = hands.at_terminal(
            "(" +
            shell_until("{ " + program + " logs web | grep -q 'heard " + word + "' || { echo " + word + "; false; }; }") +
            "; printf '\\001q') | timeout 60 script -qefc '" + program + " console web' /dev/null");
        CHECK_MESSAGE(joined.exit_code == 0, joined.out);
        CHECK_MESSAGE(has(joined.out, "heard " + word), joined.out);
        CHECK(hands.exec({"web", "--", "true"}).exit_code == 0);
    }
    CHECK(hands.Sandbox::ctl({"console", "web"}).exit_code == 125);
}

}  // namespace ctl::testing
