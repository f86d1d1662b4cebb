#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <thread>

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "base/fd.h"
#include "drivers/api/mark.h"
#include "ovs_world.h"
#include "support/wait.h"

// The driver on an ovsdb-server and an ovs-vswitchd, with the userspace datapath where the kernel has none; what comes of
// it is asked of ovs-vsctl.

namespace ctl::drivers {
namespace {

using testing::wait_until;

/// A socket in the place of whatever was there.
Fd listening_at(const std::string& path) {
    ::unlink(path.c_str());
    Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    REQUIRE(path.size() < sizeof address.sun_path);
    std::copy(path.begin(), path.end(), address.sun_path);
    REQUIRE(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    REQUIRE(::listen(fd.get(), 8) == 0);
    return fd;
}

}  // namespace

TEST_CASE("a bridge is made with its settings and mark, is seen as it was made, and goes without a trace") {
    SKIP_WITHOUT_NAMESPACES();
    const World world;
    const std::string before = world.ovs.tool("ovsdb-client dump " + world.ovs.remote() +
                                              " Bridge Port Interface Controller name target 2>/dev/null || true");
    OvsBridge bridge = some_bridge();
    bridge.mac = "00:16:3e:01:02:03";
    bridge.mtu = 1400;
    bridge.controllers = std::vector<std::string>{"ptcp:6653:127.0.0.1", "tcp:127.0.0.1:6653"};
    bridge.fail_mode = "standalone";

    world.must_apply({change(Verb::create, bridge_id("ovs-br0"), bridge)});

    CHECK(world.ovs.vsctl("list-br") == "ovs-br0");
    CHECK(world.ovs.vsctl("get bridge ovs-br0 external_ids:ctl") == "\"" + make_mark(owner, bridge_id("ovs-br0")) + "\"");
    CHECK(world.ovs.vsctl("get-controller ovs-br0 | sort") == "ptcp:6653:127.0.0.1\ntcp:127.0.0.1:6653");
    CHECK(world.ovs.vsctl("get-fail-mode ovs-br0") == "standalone");
    CHECK(sh("cat /sys/class/net/ovs-br0/address") == "00:16:3e:01:02:03");
    CHECK(wait_until([] { return sh("cat /sys/class/net/ovs-br0/mtu") == "1400"; }));
    const auto state = world.observe();
    const model::Entry& seen = state.at(bridge_id("ovs-br0"));
    CHECK(seen.mark == model::Mark::complete);
    CHECK(seen.owner == owner);
    CHECK(wait_until([&] { return world.see<OvsBridge>(bridge_id("ovs-br0")) == bridge; }));

    SUBCASE("settings change without the bridge being made anew") {
        const std::string uuid = world.ovs.vsctl("get bridge ovs-br0 _uuid");
        const std::string index = sh("cat /sys/class/net/ovs-br0/ifindex");
        bridge.controllers = std::vector<std::string>{"tcp:127.0.0.1:6654"};
        bridge.fail_mode = "secure";
        bridge.mtu = 1500;
        world.must_apply({update(bridge_id("ovs-br0"), bridge, {"controllers", "fail_mode", "mtu"})});
        CHECK(world.ovs.vsctl("get-controller ovs-br0") == "tcp:127.0.0.1:6654");
        CHECK(world.ovs.vsctl("get-fail-mode ovs-br0") == "secure");
        CHECK(world.ovs.vsctl("get bridge ovs-br0 _uuid") == uuid);
        CHECK(sh("cat /sys/class/net/ovs-br0/ifindex") == index);
    }
    SUBCASE("what is no longer said goes back to nothing") {
        bridge.controllers.reset();
        bridge.fail_mode.reset();
        Change less = change(Verb::update, bridge_id("ovs-br0"), bridge);
        less.fields = {{"controllers", {}, {}, model::Effect::live, diff::Cause::unset, {}},
                       {"fail_mode", {}, {}, model::Effect::live, diff::Cause::unset, {}}};
        world.must_apply({less});
        CHECK(world.ovs.vsctl("get-controller ovs-br0").empty());
        CHECK(world.ovs.vsctl("get-fail-mode ovs-br0").empty());
    }
    world.must_apply({change(Verb::remove, bridge_id("ovs-br0"))});
    CHECK(world.ovs.vsctl("list-br").empty());
    CHECK(world.ovs.vsctl("--bare --columns=_uuid list interface").empty());
    CHECK(world.ovs.vsctl("--bare --columns=_uuid list controller").empty());
    CHECK(world.observe().empty());
    CHECK(before == world.ovs.tool("ovsdb-client dump " + world.ovs.remote() +
                                   " Bridge Port Interface Controller name target 2>/dev/null || true"));
}

TEST_CASE("ports of all kinds are made in one batch, with their VLANs") {
    SKIP_WITHOUT_NAMESPACES();
    const World world;
    make_veth("va0", "va1");
    make_veth("vb0", "vb1");
    world.must_apply({change(Verb::create, bridge_id("br0"), some_bridge())});
    OvsPort access = port_of("br0");
    access.tag = 20;
    access.vlan_mode = "access";
    OvsPort trunk = port_of("br0");
    trunk.tag = 5;
    trunk.trunks = std::vector<std::string>{"10", "100", "20"};
    trunk.vlan_mode = "native-untagged";
    OvsPort fake = port_of("br0", "internal");
    fake.fake_bridge = true;
    fake.tag = 409;
    fake.mac = "00:16:3e:0a:0b:0c";
    OvsPort vxlan = port_of("br0", "vxlan");
    vxlan.options = std::map<std::string, std::string>{{"remote_ip", "192.0.2.2"}, {"key", "7"}, {"dst_port", "8472"}};
    OvsPort gre = port_of("br0", "gre");
    gre.options = std::map<std::string, std::string>{{"remote_ip", "192.0.2.3"}};

    world.must_apply({change(Verb::create, port_id("va0"), access), change(Verb::create, port_id("vb0"), trunk),
                      change(Verb::create, port_id("vlan409"), fake), change(Verb::create, port_id("br0-vx"), vxlan),
                      change(Verb::create, port_id("br0-gre"), gre)});

    CHECK(world.ovs.vsctl("list-br") == "br0\nvlan409");
    CHECK(world.ovs.vsctl("br-to-vlan vlan409") == "409");
    CHECK(world.ovs.vsctl("br-to-parent vlan409") == "br0");
    CHECK(sh("cat /sys/class/net/vlan409/address") == "00:16:3e:0a:0b:0c");
    CHECK(world.ovs.vsctl("get port va0 tag vlan_mode") == "20\naccess");
    CHECK(world.ovs.vsctl("get port vb0 tag trunks vlan_mode") == "5\n[10, 20, 100]\nnative-untagged");
    CHECK(world.ovs.vsctl("get interface br0-vx type options:dst_port options:key") == "vxlan\n\"8472\"\n\"7\"");
    CHECK(world.ovs.vsctl("get port va0 external_ids:ctl") == "\"" + make_mark(owner, port_id("va0")) + "\"");
    trunk.trunks = std::vector<std::string>{"10", "20", "100"};
    for (auto [name, wanted] : {std::pair{"va0", access}, {"vb0", trunk}, {"vlan409", fake}, {"br0-vx", vxlan}}) {
        const auto& which = name;
        CAPTURE(which);
        const auto seen = world.see<OvsPort>(port_id(name));
        REQUIRE(seen);
        CHECK(seen->plugged == true);
        CHECK(seen->bridge == wanted.bridge);
        CHECK(seen->type == wanted.type);
        CHECK(seen->tag == wanted.tag);
        CHECK(seen->trunks.value_or(std::vector<std::string>{}) == wanted.trunks.value_or(std::vector<std::string>{}));
        CHECK(seen->vlan_mode == wanted.vlan_mode);
        CHECK(seen->options.value_or(std::map<std::string, std::string>{}) ==
              wanted.options.value_or(std::map<std::string, std::string>{}));
    }

    SUBCASE("a port moves to another bridge and stays the same row") {
        world.must_apply({change(Verb::create, bridge_id("br1"), some_bridge())});
        const std::string uuid = world.ovs.vsctl("get port va0 _uuid");
        access.bridge = "br1";
        world.must_apply({update(port_id("va0"), access, {"bridge"})});
        CHECK(world.ovs.vsctl("port-to-br va0") == "br1");
        CHECK(world.ovs.vsctl("get port va0 _uuid") == uuid);
    }
    SUBCASE("tags change on the row that is there") {
        const std::string uuid = world.ovs.vsctl("get port va0 _uuid");
        access.tag = 21;
        world.must_apply({update(port_id("va0"), access, {"tag"})});
        CHECK(world.ovs.vsctl("get port va0 tag _uuid") == "21\n" + uuid);
    }
    world.must_apply({change(Verb::remove, port_id("va0")), change(Verb::remove, port_id("vb0")),
                      change(Verb::remove, port_id("vlan409")), change(Verb::remove, port_id("br0-vx")),
                      change(Verb::remove, port_id("br0-gre"))});
    CHECK(world.ovs.vsctl("list-ports br0").empty());
    CHECK(sh("ip link show va0 | wc -l") == "2");
    drop_link("va0");
    drop_link("vb0");
}

TEST_CASE("what is not ours is not touched, and what can't be is told in the switch's words") {
    SKIP_WITHOUT_NAMESPACES();
    const World world;
    world.ovs.vsctl("add-br theirs -- set bridge theirs datapath_type=netdev");
    make_veth("vc0", "vc1");
    world.ovs.vsctl("add-port theirs vc0");

    CHECK(world.failure(change(Verb::create, bridge_id("theirs"), some_bridge())).find("not ours") != std::string::npos);
    CHECK(world.failure(change(Verb::remove, port_id("vc0"))).find("not ours") != std::string::npos);
    CHECK(world.failure(change(Verb::create, bridge_id("vc0"), some_bridge())).find("port of that name") !=
          std::string::npos);
    CHECK(world.failure(change(Verb::create, port_id("vd0"), port_of("nosuch"))).find("no bridge \"nosuch\"") !=
          std::string::npos);
    CHECK(world.observe().at(port_id("vc0")).mark == model::Mark::none);

    // One that can't be doesn't keep the other from being made.
    make_veth("vd0", "vd1");
    const auto outcomes = world.apply({change(Verb::create, port_id("nolink"), port_of("theirs")),
                                       change(Verb::create, port_id("vd0"), port_of("theirs"))});
    REQUIRE(!outcomes[0]);
    CHECK_MESSAGE(outcomes[0].error().str().find("No such device") != std::string::npos, outcomes[0].error().str());
    CHECK(outcomes[1].has_value());
    CHECK(world.see<OvsPort>(port_id("nolink"))->plugged == false);
    CHECK(world.ovs.vsctl("list-ports theirs") == "nolink\nvc0\nvd0");
    world.must_apply({change(Verb::remove, port_id("nolink")), change(Verb::remove, port_id("vd0"))});
    CHECK(world.ovs.vsctl("list-ports theirs") == "vc0");
    drop_link("vc0");
    drop_link("vd0");
}

TEST_CASE("a link made anew under its old name is seen as unplugged, and a new port carries its frames") {
    SKIP_WITHOUT_NAMESPACES();
    const World world;
    world.must_apply({change(Verb::create, bridge_id("br0"), some_bridge())});
    make_veth("ve0", "ve1");
    sh("ip addr add 10.9.9.1/24 dev br0 && ip link set br0 up");
    world.must_apply({change(Verb::create, port_id("ve0"), port_of("br0"))});
    CHECK(world.see<OvsPort>(port_id("ve0"))->plugged == true);
    drop_link("ve0");
    make_veth("ve0", "ve1");

    CHECK(world.see<OvsPort>(port_id("ve0"))->plugged == false);
    world.must_apply({change(Verb::create, port_id("ve0"), port_of("br0"))});
    CHECK(world.see<OvsPort>(port_id("ve0"))->plugged == true);
    sh("ip netns add far && ip link set ve1 netns far && ip -n far addr add 10.9.9.2/24 dev ve1 && ip -n far link set ve1 "
       "up");
    CHECK(
        wait_until([] { return sh("ip netns exec far ping -c 1 -W 1 10.9.9.1 >/dev/null && echo yes || true") == "yes"; }));
    sh("ip netns del far");
    drop_link("ve0");
}

TEST_CASE("an ovsdb-server that restarts is found again") {
    SKIP_WITHOUT_NAMESPACES();
    World world;
    world.must_apply({change(Verb::create, bridge_id("br0"), some_bridge())});
    SUBCASE("between two changes") {
        world.ovs.stop_server();
        CHECK(world.driver->observe(Interest::only({bridge_id("br0")}), {}).error().code() == ErrorCode::missing_driver);
        world.ovs.start_server();
        CHECK(world.observe().contains(bridge_id("br0")));
    }
    SUBCASE("while a change waits for it") {
        world.ovs.stop_server();
        // Somebody in its place who hangs up: the change has to be tried again once he has done so.
        const std::string path = world.ovs.remote().substr(std::string("unix:").size());
        Fd stranger = listening_at(path);
        std::jthread later([&] {
            // Whoever else called is hung up on with the last of these, too.
            CHECK(Fd(::accept4(stranger.get(), nullptr, nullptr, SOCK_CLOEXEC)));
            stranger = Fd();
            world.ovs.start_server();
        });
        world.must_apply({change(Verb::create, bridge_id("br1"), some_bridge())});
    }
    world.must_apply({change(Verb::create, bridge_id("br1"), some_bridge())});
    CHECK(world.ovs.vsctl("list-br") == "br0\nbr1");
}

TEST_CASE("what ovs-vswitchd does not take up is no success") {
    SKIP_WITHOUT_NAMESPACES();
    World world;
    world.must_apply({change(Verb::create, bridge_id("br0"), some_bridge())});
    world.ovs.stop_switch();
    const std::string why = world.failure(change(Verb::create, bridge_id("br1"), some_bridge()));
    CHECK_MESSAGE(why.find("ovs-vswitchd does not take it up") != std::string::npos, why);
    world.ovs.start_switch();
    world.must_apply({change(Verb::create, bridge_id("br1"), some_bridge())});
}

TEST_CASE("a change by others makes the event readable, and one of ours does not") {
    SKIP_WITHOUT_NAMESPACES();
    const World world;
    REQUIRE(world.driver->events().size() == 1);
    const int fd = world.driver->events().front().fd;
    const auto is_readable = [&](int wait) {
        pollfd waited{fd, POLLIN, 0};
        return ::poll(&waited, 1, wait) == 1;
    };
    world.must_apply({change(Verb::create, bridge_id("br0"), some_bridge())});
    world.observe();
    CHECK(!is_readable(0));
    world.ovs.vsctl("del-br br0");
    CHECK(is_readable(2000));
    CHECK(world.driver->drain(fd));
    CHECK(!world.observe().contains(bridge_id("br0")));
}

TEST_CASE("working with the database leaves the process's signals as they were") {
    SKIP_WITHOUT_NAMESPACES();
    const auto handlers = [] {
        std::vector<sighandler_t> all;
        for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGALRM, SIGPIPE}) {
            struct sigaction now {};
            ::sigaction(signal, nullptr, &now);
            all.push_back(now.sa_handler);
        }
        return all;
    };
    const auto before = handlers();
    const World world;
    world.must_apply({change(Verb::create, bridge_id("br0"), some_bridge())});
    CHECK((handlers() == before));
    CHECK((before.back() == SIG_DFL));
}

TEST_CASE("without an ovsdb-server there is nothing, unless something of it is asked for by name") {
    const auto driver = driver_on("unix:/nonexistent/db.sock");
    const auto all = driver->observe({}, {});
    REQUIRE(all);
    CHECK(all->empty());
    const auto named = driver->observe(Interest::only({port_id("web0")}), {});
    REQUIRE(!named);
    CHECK(named.error().code() == ErrorCode::missing_driver);
    CHECK(named.error().str().find("ovs_port/web0 needs Open vSwitch") != std::string::npos);
    CHECK(named.error().hint() == "apt-get install openvswitch-switch");
}

}  // namespace ctl::drivers
