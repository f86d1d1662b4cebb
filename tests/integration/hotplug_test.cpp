#include <doctest/doctest.h>

#include <algorithm>

#include "base/text.h"
#include "lab.h"

// NICs are plugged into and pulled out of a running container, and changed there: nothing starts again, and no other NIC is
// touched.

namespace ctl::testing {
namespace {

using Keys = std::set<std::string>;

const std::string stack = R"(stack: plugged
storage_pools: [{name: default, driver: dir}]
networks:
- {name: br0, config: {ipv4.address: 10.40.0.1/24, ipv4.dhcp: false, ipv6.address: none}}
- {name: br1, config: {ipv4.address: 10.41.0.1/24, ipv4.dhcp: false, ipv6.address: none}}
images:
- {name: busybox, source: {type: busybox}}
profiles:
- {name: default, devices: {root: {type: disk, path: /, pool: default}}}
containers:
- name: a
  image: busybox
  devices:
    eth0: {type: nic, nictype: bridged, parent: br0, host_name: veth-a, ipv4.address: 10.40.0.11}
    # plug here
- name: b
  image: busybox
  devices:
    eth0: {type: nic, nictype: bridged, parent: br0, host_name: veth-b, ipv4.address: 10.40.0.12}
)";

std::string with(const std::string& from, const std::string& to) { return replaced(stack, from, to); }

std::string str(const Keys& keys) {
    return "\n  " + joined(std::vector<std::string>(keys.begin(), keys.end()), "\n  ") + "\n";
}

/// The keys that belong to none of these objects.
Keys others(Keys keys, const std::vector<std::string>& objects) {
    std::erase_if(keys, [&](const std::string& key) {
        return std::any_of(objects.begin(), objects.end(), [&](const auto& object) { return key.starts_with(object); });
    });
    return keys;
}

struct Plug {
    std::string what;
    std::string device;
    std::vector<std::string> objects;  ///< that come and go
    std::string pings;                 ///< an address that the container reaches by it
};

void check_plug(const Lab& lab, const Plug& plug) {
    INFO(plug.what);
    const Facts before = lab.facts();
    lab.must_apply(lab.write("stack.yaml", with("# plug here", plug.device)));
    const Keys more = changed_keys(before, lab.facts());
    CHECK_FALSE(more.empty());
    const Keys touched = others(more, plug.objects);
    CHECK_MESSAGE(touched.empty(), plug.what, ", plugged in: touched", str(touched));
    CHECK(lab.pings("a", plug.pings));
    lab.must_apply(lab.write("stack.yaml", stack));
    const Keys left = changed_keys(before, lab.facts());
    CHECK_MESSAGE(left.empty(), plug.what, ", pulled out: touched", str(left));
}

}  // namespace

TEST_CASE("NICs of each type are plugged into a running container and pulled out of it") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    lab.add_lan("ens33", {"192.0.2.1/24"}, {"192.0.2.2/24", "192.0.3.2/24"});
    lab.must_apply(lab.write("stack.yaml", stack));
    check_plug(lab, {"bridged",
                     "eth1: {type: nic, nictype: bridged, parent: br1, host_name: veth-a1, ipv4.address: 10.41.0.11, "
                     "ipv4.gateway: none}",
                     {"link/a:eth1 ", "link/veth-a1 "},
                     "10.41.0.1"});
    check_plug(lab,
               {"p2p",
                "eth1: {type: nic, nictype: p2p, host_name: p2p-a, ipv4.address: 10.42.0.2/24, ipv4.routes: 10.42.0.0/24}",
                {"link/a:eth1 ", "link/p2p-a ", "route/10.42.0.0/24"},
                "10.40.0.1"});
    check_plug(lab, {"macvlan",
                     "eth1: {type: nic, nictype: macvlan, parent: ens33, ipv4.address: 192.0.3.20/24}",
                     {"link/a:eth1 "},
                     "192.0.3.2"});
    check_plug(lab, {"routed",
                     "eth1: {type: nic, nictype: routed, parent: ens33, host_name: routed-a, ipv4.address: 192.0.2.20, "
                     "ipv4.gateway: none}",
                     {"link/a:eth1 ", "link/routed-a ", "route/192.0.2.20"},
                     "10.40.0.1"});
}

TEST_CASE("another name of the host's end makes that NIC anew while the container runs, and no other") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    lab.must_apply(lab.write("stack.yaml", stack));
    const Facts before = lab.facts();
    lab.must_apply(lab.write("stack.yaml", with("host_name: veth-a", "host_name: port-a")));
    const Facts after = lab.facts();
    const Keys touched = others(changed_keys(before, after), {"link/veth-a ", "link/port-a "});
    CHECK_MESSAGE(touched == Keys{"link/a:eth0 index"}, "touched:", str(touched));
    CHECK(after.at("link/port-a master") == "br0");
    CHECK(lab.pings("a", "10.40.0.12"));
    CHECK_FALSE(after.contains("link/veth-a index"));
}

TEST_CASE("a MAC and an MTU change while the container runs, and its neighbours learn them") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    lab.must_apply(lab.write("stack.yaml", stack));
    CHECK(lab.pings("b", "10.40.0.11"));
    const Facts before = lab.facts();
    lab.must_apply(
        lab.write("stack.yaml", with("host_name: veth-a", "host_name: veth-a, hwaddr: '00:16:3e:00:00:77', mtu: 1300")));
    const Keys touched = changed_keys(before, lab.facts());
    // The kernel lets a bridge that says no MTU follow its ports.
    const Keys expected{"link/br0 mtu", "link/a:eth0 mac", "link/a:eth0 mtu", "link/veth-a mtu"};
    CHECK_MESSAGE(touched == expected, "touched:", str(touched));
    CHECK(lab.in_netns("a", "ping -c 1 -W 5 10.40.0.12").exit_code == 0);
    CHECK(lab.pings("b", "10.40.0.11"));
}

}  // namespace ctl::testing
