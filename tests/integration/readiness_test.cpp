#include <doctest/doctest.h>

#include "base/text.h"
#include "lab.h"

// Containers that wait for others to come to something, on real ones.

namespace ctl::testing {
namespace {

/// db runs; web is to start once db has come to something.
struct Pair : Lab {
    std::string head = busybox_ground("waits") + R"(networks: [{name: br0, config: {ipv4.address: none, ipv6.address: none}}]
containers:
- {name: db, image: busybox, devices: {eth0: {type: nic, network: br0}}}
)";

    Pair() { must_apply(write("db.yaml", head)); }

    [[nodiscard]] std::string waiting(const std::string& dependency) const {
        return write("both.yaml", head + "- {name: web, image: busybox, depends_on: [" + dependency + "]}\n");
    }
    /// Applies it while `meanwhile` runs, once the wait has begun. What apply says, with its exit code in the last line.
    [[nodiscard]] std::string apply_with(const std::string& dependency, const std::string& meanwhile) const {
        return must(
            program + " apply -y -f " + waiting(dependency) + " > /run/apply.log 2>&1 & apply=$!; " +
            shell_until(
                program +
                " sql \"select 'begun' as step from steps where kind = 'readiness' and state = 'started'\" | grep -q "
                "begun") +
            "; test -e /var/lib/ctl/containers/web && echo too early; " + meanwhile +
            "; wait $apply; code=$?; cat /run/apply.log; echo $code");
    }
    void check_settled(const std::string& dependency) const {
        CHECK(attach("web", "hostname").out == "web\n");
        CHECK_MESSAGE(planned(waiting(dependency)).empty(), dependency);
    }
};

}  // namespace

TEST_CASE("a container starts when the other answers, has an address or a command succeeds in it") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Pair pair;
    struct Case {
        std::string dependency;
        std::string meanwhile;
    };
    for (const auto& [dependency, meanwhile] :
         {Case{"{container: db, port: 8022}", program + " exec db -- sh -c 'nc -ll -p 8022 -e true > /dev/null 2>&1 &'"},
          Case{"{container: db, until: address}",
               "nsenter --net=/run/ctl/namespaces/db/net ip addr add 10.1.2.3/24 dev eth0"},
          Case{"{container: db, exec: [test, -e, /ready]}", program + " exec db -- touch /ready"},
          Case{"{container: db, until: cloud-init}", program +
                                                         " exec db -- sh -c 'mkdir -p /run/cloud-init; echo "
                                                         "\"{\\\"v1\\\": {\\\"errors\\\": []}}\" > /run/cloud-init/r; mv "
                                                         "/run/cloud-init/r /run/cloud-init/result.json'"}}) {
        const auto& which = dependency;
        INFO(which);
        const std::string said = pair.apply_with(dependency, meanwhile);
        CHECK_MESSAGE(said.ends_with("\n0\n"), said);
        CHECK(said.find("too early") == std::string::npos);
        pair.check_settled(dependency);
        pair.must_apply(pair.write("db.yaml", pair.head), {});
    }
}

TEST_CASE("what nobody starts for is not waited for") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Pair pair;
    const std::string dependency = "{container: db, exec: [test, -e, /ready], timeout: 1}";
    REQUIRE(pair.attach("db", "touch /ready").exit_code == 0);
    pair.must_apply(pair.waiting(dependency));
    REQUIRE(pair.attach("db", "rm /ready").exit_code == 0);
    CHECK(pair.plan(pair.waiting(dependency)).exit_code == 0);
    pair.must("lxc-stop -k -P /var/lib/ctl/containers -n db");
    CHECK(pair.planned(pair.waiting(dependency)).size() == 1);
    pair.must_apply(pair.waiting(dependency));
    SUBCASE("for a start it is, also for one by hand") {
        pair.must(program + " stop web");
        const Output failed = pair.Sandbox::ctl({"start", "web"});
        CHECK(failed.exit_code != 0);
        CHECK(failed.err.find("last saw") != std::string::npos);
        REQUIRE(pair.attach("db", "touch /ready").exit_code == 0);
        CHECK(pair.Sandbox::ctl({"start", "web"}).exit_code == 0);
    }
}

TEST_CASE("a wait that ends in vain names the condition and what was seen last, and nothing starts") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Pair pair;
    struct Case {
        std::string dependency;
        std::string says;
    };
    for (const auto& [dependency, says] :
         {Case{"{container: db, port: 22, timeout: 1}", "nothing listens on port 22"},
          Case{"{container: db, until: address, timeout: 1}", "no address on any interface"},
          Case{"{container: db, exec: [sh, -c, 'echo not yet >&2; exit 4'], timeout: 1}", "ended with 4: not yet"},
          Case{"{container: db, exec: [no-such-program], timeout: 1}", "ended with 127"},
          Case{"{container: db, exec: [sleep, 1000], timeout: 1}", "the command did not end in time"}}) {
        const auto& which = dependency;
        INFO(which);
        const Output output = pair.apply(pair.waiting(dependency));
        CHECK(output.exit_code != 0);
        CHECK_MESSAGE(output.err.find(says) != std::string::npos, output.err);
        CHECK(output.err.find("waited 1 s for") != std::string::npos);
        CHECK(pair.must("ls /var/lib/ctl/containers").find("web") == std::string::npos);
    }
    SUBCASE("at once when cloud-init has failed, or the container is gone") {
        REQUIRE(pair.attach("db",
                            "mkdir /run/cloud-init; echo '{\"v1\": {\"errors\": [\"no such module\"]}}' > "
                            "/run/cloud-init/result.json")
                    .exit_code == 0);
        const Output output = pair.apply(pair.waiting("{container: db, until: cloud-init}"));
        CHECK(output.err.find("no such module") != std::string::npos);
        const std::string said =
            pair.apply_with("{container: db, exec: ['false']}", "lxc-stop -k -P /var/lib/ctl/containers -n db");
        CHECK_MESSAGE(said.find("waited in vain") != std::string::npos, said);
    }
    SUBCASE("at once when it is interrupted") {
        const std::string said = pair.apply_with("{container: db, port: 22}", "kill -TERM $apply");
        CHECK_MESSAGE(said.ends_with("\n130\n"), said);
    }
}

TEST_CASE("what can't be waited for is said with its place") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Pair pair;
    struct Case {
        std::string dependency;
        std::string says;
    };
    for (const auto& [dependency, says] :
         {Case{"{container: db, until: sunday}", "\"sunday\" is nothing to wait for"},
          Case{"{container: db, port: 0}", "\"0\" is not a port"},
          Case{"{container: db, port: 22, until: address}", "until one thing only"},
          Case{"{container: db, timeout: soon}", "\"soon\" is not a time to wait"}, Case{"{port: 22}", "container"},
          Case{"{container: db, colour: red}", "colour"}, Case{"{container: dbb}", "\"dbb\""}}) {
        const Output refused = pair.Sandbox::ctl({"validate", "-f", pair.waiting(dependency)});
        const auto& which = dependency;
        CHECK_MESSAGE(refused.exit_code == 3, which);
        CHECK_MESSAGE((has(refused.err, "both.yaml:8:") && has(refused.err, says)), refused.err);
    }
}

}  // namespace ctl::testing
