#include <doctest/doctest.h>

#include <algorithm>

#include "base/text.h"
#include "lab.h"
#include "support/wait.h"

// The examples, from an empty host to an empty host, judged by ip, ping, lxc-info and the kernel's own files.

namespace ctl::testing {
namespace {

std::string master_of(const Lab& lab, const std::string& link) {
    return std::string(trimmed(lab.must("ip -j link show " + link + " | jq -r '.[0].master // \"\"'")));
}

void check_no_dhcp_client(const Lab& lab, const std::string& container) {
    const Output processes = lab.attach(container, "ps -o args");
    REQUIRE(processes.exit_code == 0);
    CHECK(processes.out.find("init") != std::string::npos);
    CHECK(processes.out.find("udhcpc") == std::string::npos);
    CHECK(processes.out.find("dhclient") == std::string::npos);
}

std::string address_in(const Lab& lab, const std::string& container, const std::string& nic = "eth0") {
    return std::string(
        trimmed(lab.in_netns(container, "ip -j -4 addr show " + nic +
                                            " | jq -r '[.[].addr_info[] | \"\\(.local)/\\(.prefixlen)\"] | join(\" \")'")
                    .out));
}

std::string gateway_in(const Lab& lab, const std::string& container) {
    return std::string(trimmed(lab.in_netns(container, "ip -j route show default | jq -r '.[].gateway'").out));
}

}  // namespace

TEST_CASE("the quickstart gives three containers that answer, and takes them away again") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    const auto before = lab.traces();
    const std::string example = "manifests/examples/quickstart.yaml";
    lab.must_apply(example);
    for (const auto& [name, address] : {std::pair{"web1", "10.28.0.11"}, {"web2", "10.28.0.12"}, {"db", "10.28.0.13"}}) {
        const auto& which = name;
        CAPTURE(which);
        CHECK(address_in(lab, name) == std::string(address) + "/24");
        CHECK(gateway_in(lab, name) == "10.28.0.1");
        CHECK(lab.pings("", address));
        CHECK(lab.pings(name, "10.28.0.1"));
    }
    CHECK(lab.pings("web1", "10.28.0.13"));
    CHECK(lab.facts().at("container/db memory") == "67108864");

    const auto during = lab.traces();
    for (const std::string trace : {"link lanbr0", "mount /run/ctl/namespaces/db/net", "mount /run/ctl/namespaces/db/user",
                                    "mount /var/lib/ctl/pools/default/containers/db/rootfs", "/var/lib/ctl/containers/db",
                                    "/run/ctl/containers/db.conf", "/var/lib/ctl/images/busybox"})
        CHECK_MESSAGE(during.contains(trace), "not seen: ", trace);
    CHECK(std::any_of(during.begin(), during.end(), [](const auto& trace) { return trace.ends_with("/ctl/db/payload"); }));
    lab.must_delete(example);
    lab.check_nothing_left(before);
}

TEST_CASE("04: containers on a macvlan network have the addresses that the manifest gives them") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    lab.add_lan("ens33", {}, {"10.0.3.200/24"});
    const auto before = lab.traces();
    const std::string example = "manifests/examples/04-macvlan-static.yaml";
    lab.must_apply(example);

    for (const auto& [name, address] : {std::pair{"test3", "10.0.3.32"}, {"test4", "10.0.3.33"}}) {
        const auto& which = name;
        CAPTURE(which);
        CHECK(address_in(lab, name) == std::string(address) + "/24");
        CHECK(gateway_in(lab, name) == "10.0.3.1");
        CHECK_MESSAGE(lab.pings("", address), "from the host, by its own macvlan");
        CHECK_MESSAGE(lab.pings(name, "10.0.3.1"), "to the host");
        CHECK_MESSAGE(lab.lan_sh(std::string("ping -c 1 -W 2 ") + address).exit_code == 0, "from the LAN");
        CHECK_MESSAGE(lab.pings(name, "10.0.3.200"), "to the LAN");
        check_no_dhcp_client(lab, name);
    }
    CHECK(lab.pings("test3", "10.0.3.33"));
    CHECK(trimmed(lab.must("ip -j -d link show macvlan3 | jq -r '.[0].linkinfo.info_data.mode'")) == "bridge");

    lab.must_delete(example);
    lab.check_nothing_left(before);
    CHECK(lab.sh("ip link show ens33").exit_code == 0);
}

TEST_CASE("06: a container on a bridge of one's own keeps its address over a restart") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    const auto before = lab.traces();
    const std::string example = "manifests/examples/06-custom-bridge.yaml";
    lab.must_apply(example);
    const auto is_reachable = [&] {
        return wait_until(
                   [&] { return address_in(lab, "app1") == "10.13.37.66/24" && gateway_in(lab, "app1") == "10.13.37.1"; }) &&
               lab.pings("", "10.13.37.66") && lab.pings("app1", "10.13.37.1");
    };
    CHECK(is_reachable());
    CHECK(lab.must("ip -j addr show lxdbr1337 | jq -r '.[0].addr_info[0].local'") == "10.13.37.1\n");

    const Facts first = lab.facts();
    SUBCASE("when it is stopped and the next apply starts it") {
        lab.must("lxc-stop -P /var/lib/ctl/containers -n app1 -k");
        lab.must_apply(example);
    }
    SUBCASE("when it reboots itself") {
        const std::string init = lab.init_pid("app1");
        CHECK(lab.attach("app1", "reboot").exit_code == 0);
        CHECK(wait_until([&] {
            const std::string now = lab.init_pid("app1");
            return now != init && now != "-1";
        }));
        CHECK(lab.plan(example).exit_code == 0);
    }
    CHECK(is_reachable());
    const auto changed = changed_keys(first, lab.facts());
    CHECK(changed == std::set<std::string>{"container/app1 init"});

    lab.must_delete(example);
    lab.check_nothing_left(before);
}

TEST_CASE("08: a bridge with a host NIC puts a container on the LAN, and only the one that is on it") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    lab.add_lan("enp4s0f0", {}, {"192.0.2.1/24", "10.28.8.200/24"});
    const auto before = lab.traces();
    const std::string example = "manifests/examples/08-lan-bridge.yaml";
    lab.must_apply(example);

    const auto is_on_lan = [&] {
        return wait_until([&] { return lab.lan_sh("ping -c 1 -W 1 192.0.2.50").exit_code == 0; });
    };
    CHECK(master_of(lab, "enp4s0f0") == "lanbr");
    CHECK(is_on_lan());
    CHECK(lab.pings("app1", "192.0.2.1"));
    CHECK(lab.pings("", "10.28.8.2"));
    CHECK(lab.lan_sh("ping -c 1 -W 1 10.28.8.2").exit_code != 0);
    CHECK(lab.attach("app2", "ping -c 1 -W 1 192.0.2.1").exit_code != 0);
    CHECK(trimmed(lab.must("ip -j addr show lanbr | jq '.[0].addr_info | length'")) == "0");

    const std::string init = lab.init_pid("app1");
    const std::string init2 = lab.init_pid("app2");
    lab.must("ip link del lanbr");
    CHECK(master_of(lab, "enp4s0f0").empty());
    CHECK(lab.lan_sh("ping -c 1 -W 1 192.0.2.50").exit_code != 0);
    lab.must_apply(example);
    CHECK(master_of(lab, "enp4s0f0") == "lanbr");
    CHECK(is_on_lan());
    CHECK(lab.init_pid("app1") == init);
    CHECK(lab.init_pid("app2") == init2);

    lab.must_delete(example);
    lab.check_nothing_left(before);
    CHECK(master_of(lab, "enp4s0f0").empty());
}

TEST_CASE("16: a profile makes a container privileged and shares folders of the host with it") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    const auto before = lab.traces();
    const std::string example = "manifests/examples/16-privileged-shared-folders.yaml";
    lab.must_apply(example);

    const auto maps_to = [&](const std::string& container) {
        return std::string(trimmed(lab.must("awk '{ print $2; exit }' /proc/" + lab.init_pid(container) + "/uid_map")));
    };
    CHECK(maps_to("sharing") == "0");
    CHECK(maps_to("plain") == "100000");

    lab.must("touch /var/cache/apt/from-host");
    CHECK(lab.attach("sharing", "ls /var/cache/apt/from-host").exit_code == 0);
    CHECK(lab.attach("sharing", "touch /var/cache/apt/from-container").exit_code == 0);
    CHECK(lab.sh("rm /var/cache/apt/from-host /var/cache/apt/from-container").exit_code == 0);
    CHECK(lab.attach("sharing", "ls /etc/apt").out == lab.must("ls /etc/apt"));
    CHECK(lab.attach("sharing", "touch /etc/apt/x").exit_code != 0);
    CHECK(lab.sh("ls /etc/apt/x").exit_code != 0);
    CHECK(lab.attach("plain", "ls /etc/apt").exit_code != 0);

    lab.must_delete(example);
    lab.check_nothing_left(before);
}

TEST_CASE("16: shared folders are plugged into a running container, and only privilege restarts it") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    const auto before = lab.traces();
    const std::string privileged = "    security.privileged: true\n";
    std::string with_all = Lab::source("manifests/examples/16-privileged-shared-folders.yaml");
    std::string with_disks = with_all;
    const auto at = with_disks.find("  config:\n" + privileged);
    REQUIRE(at != std::string::npos);
    with_disks.erase(at, std::string("  config:\n" + privileged).size());
    std::string plain = with_disks;
    const std::string profiles = "  profiles: [default, share-host]\n";
    plain.erase(plain.find(profiles), profiles.size());

    lab.must_apply(lab.write("stack.yaml", plain));
    const Facts first = lab.facts();
    const std::string file = lab.write("stack.yaml", with_disks);
    CHECK(lab.planned(file) == std::vector<std::string>{"container/sharing update hotplug: mounts changed"});
    lab.must_apply(file);
    const Facts plugged = lab.facts();
    CHECK(changed_keys(first, plugged) == std::set<std::string>{"container/sharing config", "container/sharing mounts"});
    CHECK(lab.attach("sharing", "ls /etc/apt").out == lab.must("ls /etc/apt"));
    CHECK(lab.attach("sharing", "touch /etc/apt/x").exit_code != 0);

    lab.write("stack.yaml", with_all);
    const auto lines = lab.planned(file);
    CHECK(std::any_of(lines.begin(), lines.end(),
                      [](const auto& line) { return line.starts_with("container/sharing update restart: idmap changed"); }));
    lab.must_apply(file);
    const Facts restarted = lab.facts();
    CHECK(restarted.at("container/sharing init") != plugged.at("container/sharing init"));
    CHECK(restarted.at("container/plain init") == plugged.at("container/plain init"));
    CHECK(lab.attach("sharing", "ls /etc/apt").out == lab.must("ls /etc/apt"));

    lab.must_delete(file);
    lab.check_nothing_left(before);
}

}  // namespace ctl::testing
