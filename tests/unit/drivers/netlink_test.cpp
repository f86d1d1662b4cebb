#include "netlink_world.h"

#include <poll.h>

#include <filesystem>
#include <optional>

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "drivers/api/mark.h"
#include "support/wait.h"

using namespace ctl;
using namespace ctl::drivers;
using ctl::testing::bridge;
using ctl::testing::Host;
using ctl::testing::in;
using ctl::testing::sh;
using ctl::testing::veth;
using ctl::testing::why;
using diff::Change;
using diff::Verb;
using model::Cidr;
using model::Link;
using model::LinkType;
using model::Netns;
using model::ObjectId;
using model::Route;

TEST_CASE("a bridge is born ours, marked, up and addressed, and other tools see it so") {
    SKIP_WITHOUT_NAMESPACES();
    Host host;
    Link br = bridge();
    br.mtu = 1400;
    br.mac = "02:00:00:00:00:01";
    br.addresses = {*Cidr::parse("10.0.3.1/24")};
    host.must({Host::link("br0", br)});
    CHECK(sh("ip -j -d link show br0 | jq -r "
             "'.[0]|.ifalias,.mtu,.address,.linkinfo.info_data.forward_delay,.linkinfo.info_data.stp_state'") ==
          "ctl:1:lab:Container/web:link/br0\n1400\n02:00:00:00:00:01\n0\n0");
    CHECK(sh("ip -j addr show br0 | jq -r '.[0].addr_info[].local'") == "10.0.3.1");
    CHECK(sh("ip -j link show group 0x63746c | jq -r '.[].ifname|select(.)'") == "br0");
    const auto* entry = host.find("link/br0");
    CHECK(entry->mark == model::Mark::complete);
    CHECK(entry->owner == model::ResourceRef{"lab", "Container", "web"});
    CHECK(host.seen("link/br0").addresses == br.addresses);
    CHECK(host.seen("link/br0").ipv6 == false);
    host.must({Host::link("br0", br)});
}

TEST_CASE("a veth pair leads into an id-mapped namespace, and a route there has a gateway") {
    SKIP_WITHOUT_NAMESPACES();
    Host host;
    host.must({Host::netns("web", "0:100000:65536"), Host::link("br0", bridge())});
    Link inner = veth("vethx");
    inner.addresses = {*Cidr::parse("10.0.3.2/24")};
    inner.mac = "02:00:00:00:00:02";
    Link outer = veth("web:eth0");
    outer.master = "br0";
    host.must({Host::link("vethx", outer), Host::link("web:eth0", inner)});
    host.must(
        {Host::change(Verb::create, {model::ObjectKind::route, "web:0.0.0.0/0"}, Route{.via = "10.0.3.1", .dev = "eth0"})});
    CHECK(in("web", "ip -j route show default | jq -r '.[0]|.gateway,.dev'") == "10.0.3.1\neth0");
    CHECK(in("web", "ip -j link show lo | jq -r '.[0].flags|contains([\"UP\"])'") == "true");
    CHECK(sh("ip -j link show vethx | jq -r '.[0].master'") == "br0");
    CHECK(host.seen("link/web:eth0").peer == "vethx");
    CHECK(host.seen("link/vethx").peer == "web:eth0");
    CHECK(host.seen("link/web:eth0").mac == "02:00:00:00:00:02");
    CHECK(host.find("link/vethx")->mark == model::Mark::complete);
    CHECK(host.find("link/web:eth0")->mark == model::Mark::complete);
    CHECK(std::get<Netns>(host.find("netns/web")->object).idmap == "0:100000:65536");
    CHECK(std::get<Route>(host.find("route/web:0.0.0.0/0")->object).via == "10.0.3.1");
    const auto only = host.observe(Interest::only({{model::ObjectKind::link, "vethx"}}));
    CHECK(only.size() == 1);
    CHECK(std::get<Link>(only.begin()->second.object).peer == "web:eth0");
    host.must({Host::change(Verb::remove, {model::ObjectKind::netns, "web"})});
    CHECK(host.find("link/vethx") == nullptr);
    CHECK_FALSE(std::filesystem::exists(ctl::testing::run_dir() + "/namespaces/web"));
    host.must({Host::change(Verb::remove, {model::ObjectKind::netns, "web"})});
}

TEST_CASE("a macvlan is born in the namespace with its parent on the host") {
    SKIP_WITHOUT_NAMESPACES();
    Host host;
    host.must({Host::netns("mv", "none"), Host::link("lan", veth("lanpeer"))});
    Link mv;
    mv.type = LinkType::macvlan;
    mv.parent = "lan";
    mv.mode = "bridge";
    mv.up = true;
    host.must({Host::link("mv:eth0", mv)});
    CHECK(host.seen("link/mv:eth0").parent == "lan");
    CHECK(host.seen("link/mv:eth0").mode == "bridge");
    mv.mode = "private";
    host.must({Host::update("mv:eth0", mv, "mode")});
    CHECK(in("mv", "ip -j -d link show eth0 | jq -r '.[0].linkinfo.info_data.mode'") == "private");
}

TEST_CASE("each live field is changed alone, on the same link, which never goes down") {
    SKIP_WITHOUT_NAMESPACES();
    Host host;
    host.must({Host::link("br0", bridge()), Host::link("v0", veth("v1"))});
    const std::string index = sh("cat /sys/class/net/v0/ifindex");
    const std::string downs = sh("cat /sys/class/net/v0/carrier_down_count");
    Link wanted = veth("v1");
    wanted.mtu = 1300;
    wanted.mac = "02:00:00:00:00:09";
    wanted.master = "br0";
    wanted.ipv6 = true;
    wanted.addresses = {*Cidr::parse("10.9.0.1/24"), *Cidr::parse("10.9.0.2/24"), *Cidr::parse("fd42::1/64")};
    host.must({Host::update("v0", wanted, "mtu")});
    CHECK(sh("cat /sys/class/net/v0/mtu /sys/class/net/v0/address") != "1300\n02:00:00:00:00:09");
    CHECK(sh("cat /sys/class/net/v0/mtu") == "1300");
    for (const auto* field : {"mac", "master", "ipv6", "addresses"}) host.must({Host::update("v0", wanted, field)});
    CHECK(sh("cat /sys/class/net/v0/address") == "02:00:00:00:00:09");
    CHECK(sh("basename $(readlink /sys/class/net/v0/master)") == "br0");
    CHECK(host.seen("link/v0").addresses == wanted.addresses);
    // The primary leaves: the other of its subnet must not leave with it.
    wanted.addresses = {*Cidr::parse("10.9.0.2/24"), *Cidr::parse("fd42::1/80")};
    host.must({Host::update("v0", wanted, "addresses")});
    CHECK(host.seen("link/v0").addresses == wanted.addresses);
    wanted.master = "";
    host.must({Host::update("v0", wanted, "master")});
    CHECK(host.seen("link/v0").master == "");
    CHECK(sh("cat /sys/class/net/v0/ifindex") == index);
    CHECK(sh("cat /sys/class/net/v0/carrier_down_count") == downs);
}

TEST_CASE("a container's end of a veth fills in its checksums or leaves them to others, as it is told") {
    SKIP_WITHOUT_NAMESPACES();
    Host host;
    host.must({Host::netns("web", "0:100000:65536")});
    Link inner = veth("vethx");
    inner.tx_checksum = false;
    host.must({Host::link("vethx", veth("web:eth0")), Host::link("web:eth0", inner)});
    const std::string told = "ethtool -k eth0 | sed -n 's/^tx-checksumming: //p'";
    CHECK(in("web", told) == "off");
    CHECK(host.seen("link/web:eth0").tx_checksum == false);
    CHECK_MESSAGE(!host.seen("link/vethx").tx_checksum, "on the host nobody asks");
    inner.tx_checksum = true;
    host.must({Host::update("web:eth0", inner, "tx_checksum")});
    CHECK(in("web", told) == "on");
    CHECK(host.seen("link/web:eth0").tx_checksum == true);
}

TEST_CASE("a foreign link is reported, never deleted and never taken over unasked") {
    SKIP_WITHOUT_NAMESPACES();
    Host host;
    sh("ip link add foreign type bridge");
    CHECK(host.find("link/foreign")->mark == model::Mark::none);
    const auto outcomes =
        host.apply({Host::link("foreign", bridge()), Host::change(Verb::remove, {model::ObjectKind::link, "foreign"})});
    for (const auto& outcome : outcomes) CHECK(outcome.error().code() == ErrorCode::conflict);
    host.must({Host::link("foreign", bridge(), Verb::adopt)});
    CHECK(host.find("link/foreign")->mark == model::Mark::complete);
    host.must({Host::change(Verb::forget, {model::ObjectKind::link, "foreign"})});
    CHECK(host.find("link/foreign")->mark == model::Mark::none);
    sh("ip link del foreign");
}

TEST_CASE("what a kill between two steps leaves is recognised and finished") {
    SKIP_WITHOUT_NAMESPACES();
    Host host;
    sh("ip link add half group 0x63746c type bridge");
    CHECK(host.find("link/half")->mark == model::Mark::begun);
    host.must({Host::link("half", bridge())});
    CHECK(host.find("link/half")->mark == model::Mark::complete);
    host.must({Host::netns("n", "0:100000:65536")});
    sh("rm /run/ctl/namespaces/n/mark");
    CHECK(host.find("netns/n")->mark == model::Mark::begun);
    host.must({Host::netns("n", "0:200000:65536")});
    CHECK(host.find("netns/n")->mark == model::Mark::complete);
    sh("umount -l /run/ctl/namespaces/n/net");
    CHECK(host.find("netns/n") == nullptr);
    host.must({Host::netns("n", "none")});
    CHECK(std::get<Netns>(host.find("netns/n")->object).idmap == "none");
}

TEST_CASE("the kernel's own words are in an error, and other changes of the batch go on") {
    SKIP_WITHOUT_NAMESPACES();
    Host host;
    Link bad = bridge();
    bad.addresses = {*Cidr::parse("fd00::1/64")};
    const auto outcomes = host.apply({Host::link("bad", bad), Host::link("good", bridge())});
    REQUIRE_FALSE(outcomes[0].has_value());
    CHECK(outcomes[0].error().str().find("creating link/bad") != std::string::npos);
    CHECK(outcomes[0].error().str().find("IPv6 is disabled") != std::string::npos);
    CHECK(outcomes[1].has_value());
    Link orphan;
    orphan.type = LinkType::macvlan;
    orphan.parent = "nowhere";
    const std::vector<Change> changes{Host::link("mv0", orphan)};
    const auto errors = host.driver->preflight(changes);
    REQUIRE(errors.size() == 1);
    CHECK(errors[0].str().find("nowhere") != std::string::npos);
}

TEST_CASE("changes on the host and in a namespace wake the watch, and silence does not") {
    SKIP_WITHOUT_NAMESPACES();
    Host host;
    host.must({Host::netns("ev", "none")});
    (void)host.observe();
    const int fd = host.driver->events().front().fd;
    (void)host.driver->drain(fd);
    CHECK_FALSE(host.driver->drain(fd));
    sh("ip link add e0 type bridge");
    CHECK(host.driver->drain(fd));
    sh("ip link del e0");
    (void)host.driver->drain(fd);
    in("ev", "ip link add e1 type bridge");
    CHECK(ctl::testing::wait_until([&] { return host.driver->drain(fd); }));
}

TEST_CASE("500 links are deleted by group and foreign ones stay") {
    SKIP_WITHOUT_NAMESPACES();
    Host host;
    sh("ip link add stays type veth peer name stays2");
    std::vector<Change> makes;
    std::vector<Change> drops;
    for (int i = 0; i < 250; ++i)
        for (const auto& [a, b] : {std::pair("a", "b"), std::pair("b", "a")}) {
            makes.push_back(Host::link(fmt::format("{}{}", a, i), veth(fmt::format("{}{}", b, i))));
            drops.push_back(Host::change(Verb::remove, makes.back().id));
        }
    host.must(makes);
    host.must(drops);
    CHECK(sh("ip -j link show type veth | jq -r '.[].ifname|select(.)' | sort | tr '\\n' ' '") == "stays stays2 ");
    sh("ip link del stays");
}

TEST_CASE("100 namespaces with a veth each, and an observation of 200") {
    SKIP_WITHOUT_NAMESPACES();
    Host host;
    std::vector<Change> spaces;
    std::vector<Change> more;
    std::vector<Change> links;
    for (int i = 0; i < 100; ++i) {
        spaces.push_back(Host::netns(fmt::format("c{}", i), fmt::format("0:{}:65536", 100000 + i * 65536)));
        more.push_back(Host::netns(fmt::format("d{}", i), "none"));
        links.push_back(Host::link(fmt::format("v{}", i), veth(fmt::format("c{}:eth0", i))));
        links.push_back(Host::link(fmt::format("c{}:eth0", i), veth(fmt::format("v{}", i))));
    }
    host.must(spaces);
    host.must(links);
    host.must(more);
    CHECK(host.observe().size() >= 200 + 200 + 200);
    std::vector<Change> drops;
    for (const auto& space : spaces) drops.push_back(Host::change(Verb::remove, space.id));
    host.must(drops);
    CHECK(sh("ip -j link show type veth | jq -r '.[].ifname|select(.)' | wc -l") == "0");
}
