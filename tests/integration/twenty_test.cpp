#include <doctest/doctest.h>

#include <chrono>

#include <fmt/format.h>

#include "base/text.h"
#include "debian.h"
#include "lab.h"
#include "support/wait.h"

// Twenty containers of several kinds, and a Debian with systemd that runs unprivileged.

namespace ctl::testing {

TEST_CASE("twenty mixed containers run side by side, and go without a trace") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    const auto before = lab.traces();
    const std::string example = "manifests/examples/twenty.yaml";
    lab.must_apply(example);

    const Facts facts = lab.facts();
    int running = 0;
    int stopped = 0;
    for (const auto& [key, value] : facts) {
        if (!key.starts_with("container/") || !key.ends_with(" state")) continue;
        running += value == "RUNNING" ? 1 : 0;
        stopped += value == "STOPPED" ? 1 : 0;
    }
    CHECK(running == 19);
    CHECK(stopped == 1);
    CHECK(facts.at("container/parked state") == "STOPPED");
    CHECK(facts.at("link/front0 addresses") == "10.30.0.1/24");
    CHECK(facts.at("link/back0 addresses") == "10.31.0.1/24 fd42:31::1/64");
    for (int web = 1; web <= 10; ++web) {
        const std::string name = fmt::format("web{}", web);
        CHECK(facts.at(fmt::format("link/{}:eth0 addresses", name)) == fmt::format("10.30.0.{}/24", 10 + web));
        // The network announces its IPv6 prefix: an address of that kind may have come too.
        CHECK(facts.at(fmt::format("link/{}:eth1 addresses", name)).starts_with(fmt::format("10.31.0.{}/24", 10 + web)));
        CHECK(facts.at(fmt::format("link/{}:eth1 mtu", name)) == "1400");
        CHECK(facts.at(fmt::format("container/{} memory", name)) == "67108864");
        CHECK(facts.at(fmt::format("container/{} processes", name)) == "100");
        CHECK(lab.pings("", fmt::format("10.30.0.{}", 10 + web)));
    }
    for (int job = 1; job <= 5; ++job) {
        const std::string environment =
            lab.must(fmt::format("tr '\\0' '\\n' < /proc/{}/environ", lab.init_pid(fmt::format("job{}", job))));
        CHECK(environment.find(fmt::format("QUEUE=queue-{}\n", job)) != std::string::npos);
    }
    CHECK(lab.pings("web10", "10.31.0.2"));
    CHECK(lab.pings("web1", "10.31.0.35"));
    CHECK(lab.must("awk '{ print $2; exit }' /proc/" + lab.init_pid("tool1") + "/uid_map") == "0\n");
    CHECK(lab.must("awk '{ print $2; exit }' /proc/" + lab.init_pid("tool2") + "/uid_map") == "100000\n");
    CHECK(lab.attach("tool2", "ls /host/log").out == lab.must("ls /var/log"));
    CHECK(facts.at("link/probe:eth0 addresses") == "10.32.0.2/30");
    CHECK(facts.contains("link/probe0 index"));

    lab.must_delete(example);
    lab.check_nothing_left(before);
}

TEST_CASE("an unprivileged Debian with systemd boots, has its address, and stops when asked") {
    CTL_SKIP_WITHOUT_SANDBOX();
    std::string why;
    const auto root = debian_root(why);
    CTL_SKIP_IF(!root, why);
    const Lab lab;
    const auto before = lab.traces();
    const std::string text = fmt::format(R"(stack: debian
storage_pools: [{{name: default, driver: dir}}]
networks:
- {{name: br0, config: {{ipv4.address: 10.60.0.1/24, ipv4.dhcp: false}}}}
images:
- {{name: debian, source: {{type: directory, path: {}}}}}
containers:
- name: deb
  image: debian
  profiles: []
  devices:
    root: {{type: disk, path: /, pool: default}}
    eth0: {{type: nic, nictype: bridged, parent: br0, name: eth0, ipv4.address: 10.60.0.5}}
)",
                                         *root);
    const std::string file = lab.write("stack.yaml", text);
    lab.must_apply(file);

    std::string state;
    const bool is_up = wait_until(
        [&] {
            state = std::string(trimmed(lab.attach("deb", "systemctl is-system-running").out));
            return state == "running" || state == "degraded";
        },
        std::chrono::seconds{90});
    CHECK_MESSAGE(is_up, "systemd says ", state);
    MESSAGE("systemd is ", state, "; failed units: ", lab.attach("deb", "systemctl --failed --no-legend --plain").out);
    CHECK(lab.must("awk '{ print $2; exit }' /proc/" + lab.init_pid("deb") + "/uid_map") == "100000\n");
    CHECK(trimmed(lab.attach("deb", "cat /proc/1/comm").out) == "systemd");
    CHECK(lab.attach("deb", "ip -4 addr show eth0").out.find("inet 10.60.0.5/24") != std::string::npos);
    CHECK(lab.pings("", "10.60.0.5"));
    CHECK_MESSAGE(lab.plan(file).exit_code == 0, "systemd leaves alone what we have set");

    const Output witness = lab.attach("deb",
                                      "systemd-run --unit=witness --remain-after-exit "
                                      "--property=ExecStop='/bin/touch /was-asked' /bin/true");
    CHECK_MESSAGE(witness.exit_code == 0, witness.err);
    lab.write("stack.yaml", text + "  state: stopped\n");
    const Output stopped = lab.apply(file);
    CHECK_MESSAGE(stopped.exit_code == 0, stopped.out, stopped.err);
    CHECK_MESSAGE(lab.must("find /var/lib/ctl -name was-asked") != "", "systemd stopped its units: nobody killed it");
    CHECK(lab.init_pid("deb") == "-1");

    lab.must_delete(file);
    lab.check_nothing_left(before);
}

}  // namespace ctl::testing
