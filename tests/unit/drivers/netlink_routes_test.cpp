#include "netlink_world.h"

// Routes of both families, and vxlan links.

using namespace ctl;
using namespace ctl::testing;
using model::Cidr;
using model::Route;

namespace {

const ObjectId route4{model::ObjectKind::route, "10.9.0.0/16"};
const ObjectId route6{model::ObjectKind::route, ":fd42:9::/64"};

Change route(const ObjectId& id, const std::string& via, const std::string& dev, Verb verb = Verb::create) {
    return Host::change(verb, id, Route{.via = via, .dev = dev});
}

Route seen(Host& host, const ObjectId& id) {
    const auto* entry = host.find(id.str());
    REQUIRE_MESSAGE(entry != nullptr, id.str());
    return std::get<Route>(entry->object);
}

/// The route's protocol number, as ip knows it.
std::string protocol(const std::string& family, const std::string& destination) {
    return sh("ip -N -j " + family + " route show " + destination + " | jq -r '.[0].protocol'");
}

/// A bridge with an address of each family.
Link addressed_bridge() {
    Link link = bridge();
    link.ipv6 = true;
    link.addresses = {*Cidr::parse("10.0.3.1/24"), *Cidr::parse("fd42:3::1/64")};
    return link;
}

}  // namespace

TEST_CASE("routes of both families are made, changed to another gateway and deleted, and ip shows them") {
    SKIP_WITHOUT_NAMESPACES();
    Host host;
    host.must({Host::link("br0", addressed_bridge())});
    host.must({route(route4, "10.0.3.9", "br0"), route(route6, "fd42:3::9", "br0")});
    CHECK(sh("ip -j route show 10.9.0.0/16 | jq -r '.[0]|.gateway,.dev'") == "10.0.3.9\nbr0");
    CHECK(sh("ip -j -6 route show fd42:9::/64 | jq -r '.[0]|.gateway,.dev'") == "fd42:3::9\nbr0");
    CHECK(seen(host, route4) == Route{.via = "10.0.3.9", .dev = "br0"});
    CHECK(seen(host, route6) == Route{.via = "fd42:3::9", .dev = "br0"});
    CHECK(host.find(route6.str())->mark != model::Mark::none);

    host.must({route(route4, "10.0.3.8", "br0", Verb::update), route(route6, "fd42:3::8", "br0", Verb::update)});
    CHECK(sh("ip -j -6 route show fd42:9::/64 | jq -r '.[].gateway'") == "fd42:3::8");
    CHECK(sh("ip -j route show 10.9.0.0/16 | jq -r '.[].gateway'") == "10.0.3.8");

    host.must({Host::change(Verb::remove, route4), Host::change(Verb::remove, route6)});
    CHECK(sh("ip route show 10.9.0.0/16; ip -6 route show fd42:9::/64") == "");
    host.must({Host::change(Verb::remove, route6)});
}

TEST_CASE("a route to a neighbour may lead to a gateway, which is in no subnet") {
    SKIP_WITHOUT_NAMESPACES();
    Host host;
    host.must({Host::link("br0", addressed_bridge())});
    const ObjectId neighbour{model::ObjectKind::route, "192.0.2.20/32"};
    host.must({Host::change(Verb::create, neighbour, Route{.via = std::nullopt, .dev = "br0"})});
    CHECK(sh("ip -j route show 192.0.2.20/32 | jq -r '.[0]|.scope,.dev'") == "link\nbr0");
    host.must({route(route4, "192.0.2.20", "br0")});
    CHECK(sh("ip -j route show 10.9.0.0/16 | jq -r '.[0].gateway'") == "192.0.2.20");
    host.must({Host::change(Verb::remove, route4), Host::change(Verb::forget, neighbour)});
    CHECK(sh("ip -j route show 192.0.2.20/32 | jq -r '.[0]|.scope,.protocol'") == "link\nstatic");
    sh("ip route del 192.0.2.20/32");
}

TEST_CASE("the host answers for addresses on one of its links, and ip shows for which") {
    SKIP_WITHOUT_NAMESPACES();
    Host host;
    host.must({Host::link("br0", addressed_bridge()), Host::link("br1", addressed_bridge())});
    const auto answers = [](const std::string& name, const std::string& dev, Verb verb = Verb::create) {
        return Host::change(verb, {model::ObjectKind::neighbour, name}, model::Neighbour{.dev = dev});
    };
    const auto dev = [&](const std::string& id) {
        const auto* entry = host.find(id);
        REQUIRE_MESSAGE(entry != nullptr, id);
        CHECK(entry->mark == model::Mark::unnamed);
        return std::get<model::Neighbour>(entry->object).dev;
    };
    host.must({answers("192.0.2.20", "br0"), answers(":fd42:9::20", "br0")});
    CHECK(sh("ip -N -j neigh show proxy | jq -r '.[]|.dst,.dev,.protocol' | sort") ==
          "192.0.2.20\n199\n199\nbr0\nbr0\nfd42:9::20");
    CHECK(dev("neighbour/192.0.2.20") == "br0");
    CHECK(dev("neighbour/:fd42:9::20") == "br0");

    SUBCASE("another link") {
        host.must({answers("192.0.2.20", "br1", Verb::update)});
        CHECK(sh("ip -j neigh show proxy | jq -r '.[]|select(.dst==\"192.0.2.20\").dev'") == "br1");
        CHECK(dev("neighbour/192.0.2.20") == "br1");
    }
    SUBCASE("somebody else's entry is not taken over, and not deleted") {
        sh("ip neigh add proxy 192.0.2.30 dev br1");
        CHECK(host.find("neighbour/192.0.2.30")->mark == model::Mark::none);
        CHECK(why(host.apply({answers("192.0.2.30", "br0")}).front()).find("answers for that address already") !=
              std::string::npos);
        CHECK_FALSE(host.apply({answers("192.0.2.30", "br1", Verb::remove)}).front());
        host.must({answers("192.0.2.30", "br1", Verb::adopt)});
        CHECK(dev("neighbour/192.0.2.30") == "br1");
    }
    SUBCASE("a link that is not there") {
        CHECK(why(host.apply({answers("192.0.2.31", "br7")}).front()).find("its link \"br7\" is not there") !=
              std::string::npos);
    }
    for (const std::string name : {"192.0.2.20", ":fd42:9::20", "192.0.2.30"}) host.must({answers(name, "", Verb::remove)});
    CHECK(sh("ip neigh show proxy; ip -6 neigh show proxy") == "");
}

TEST_CASE("a container's default routes lead through its gateways, IPv6 too") {
    SKIP_WITHOUT_NAMESPACES();
    Host host;
    Link inner = veth("vethx");
    inner.ipv6 = true;
    inner.addresses = {*Cidr::parse("10.0.3.2/24"), *Cidr::parse("fd42:3::2/64")};
    Link outer = veth("web:eth0");
    outer.master = "br0";
    host.must({Host::netns("web", "none"), Host::link("br0", addressed_bridge())});
    host.must({Host::link("vethx", outer), Host::link("web:eth0", inner)});
    const ObjectId default4{model::ObjectKind::route, "web:0.0.0.0/0"};
    const ObjectId default6{model::ObjectKind::route, "web:::/0"};
    in("web", "ip -6 route add default via fe80::1 dev eth0 proto ra metric 1024");  // as a router's announcement does
    host.must({route(default4, "10.0.3.1", "eth0"), route(default6, "fd42:3::1", "eth0")});
    CHECK(in("web", "ip -j -6 route show default | jq -r '.[0]|.gateway,.dev'") == "fd42:3::1\neth0");
    CHECK(seen(host, default6) == Route{.via = "fd42:3::1", .dev = "eth0"});
    CHECK(in("web", "ping -6 -c 1 -W 2 fd42:3::1 > /dev/null && echo yes") == "yes");
    host.must({Host::change(Verb::remove, default6)});
    CHECK(in("web", "ip -6 route show default") == "");
    CHECK(in("web", "ip -j route show default | jq -r '.[0].gateway'") == "10.0.3.1");
}

TEST_CASE("a forgotten route stays as it is, without our number") {
    SKIP_WITHOUT_NAMESPACES();
    Host host;
    host.must({Host::link("br0", addressed_bridge())});
    host.must({route(route4, "10.0.3.9", "br0"), route(route6, "fd42:3::9", "br0")});
    CHECK(protocol("-4", "10.9.0.0/16") == "199");
    CHECK(protocol("-6", "fd42:9::/64") == "199");
    host.must({Host::change(Verb::forget, route4), Host::change(Verb::forget, route6)});
    CHECK(protocol("-4", "10.9.0.0/16") == "4");
    CHECK(protocol("-6", "fd42:9::/64") == "4");
    CHECK(sh("ip -j route show 10.9.0.0/16 | jq -r '.[]|.gateway,.dev'") == "10.0.3.9\nbr0");
    CHECK(sh("ip -j -6 route show fd42:9::/64 | jq -r '.[]|.gateway,.dev'") == "fd42:3::9\nbr0");
    CHECK(host.find(route4.str())->mark == model::Mark::none);
    CHECK(host.find(route6.str())->mark == model::Mark::none);
    CHECK_FALSE(host.apply({Host::change(Verb::remove, route4)}).front().has_value());
    host.must({Host::change(Verb::forget, route4)});
}

TEST_CASE("a route of somebody else is neither changed nor deleted") {
    SKIP_WITHOUT_NAMESPACES();
    Host host;
    host.must({Host::link("br0", addressed_bridge())});
    sh("ip -6 route add fd42:9::/64 via fd42:3::7 dev br0");
    CHECK(host.find(route6.str())->mark == model::Mark::none);
    CHECK(host.apply({route(route6, "fd42:3::9", "br0")}).front().error().code() == ErrorCode::conflict);
    CHECK(host.apply({Host::change(Verb::remove, route6)}).front().error().code() == ErrorCode::conflict);
    host.must({Host::change(Verb::forget, route6)});
    CHECK(sh("ip -j -6 route show fd42:9::/64 | jq -r '.[].gateway'") == "fd42:3::7");
}

TEST_CASE("a vxlan link is born with all that it was given, and its ends and TTL change live") {
    SKIP_WITHOUT_NAMESPACES();
    for (const auto& [name, local, remote, other] :
         {std::tuple{"vx4", "10.0.3.1", "10.0.3.2", "10.0.3.3"}, std::tuple{"vx6", "fd42:3::1", "fd42:3::2", "fd42:3::3"}}) {
        const auto& which = name;
        CAPTURE(which);
        Host host;
        host.must({Host::link("br0", addressed_bridge())});
        Link vxlan;
        vxlan.type = LinkType::vxlan;
        vxlan.parent = "br0";
        vxlan.vni = 4711;
        vxlan.local = local;
        vxlan.remote = remote;
        vxlan.port = 8472;
        vxlan.ttl = 7;
        vxlan.mac = "02:00:00:00:00:07";
        vxlan.mtu = 1400;
        vxlan.up = true;
        host.must({Host::link(name, vxlan)});
        const std::string family = std::string(name) == "vx6" ? "6" : "";
        const auto detail = [&](const std::string& what) {
            return sh("ip -j -d link show " + std::string(which) + " | jq -r '.[0].linkinfo.info_data." + what + "'");
        };
        CHECK(detail("id") == "4711");
        CHECK(detail("link") == "br0");
        CHECK(detail("local" + family) == local);
        CHECK(detail("remote" + family) == remote);
        CHECK(detail("port") == "8472");
        CHECK(detail("ttl") == "7");
        const std::string id = "link/" + std::string(name);
        Link there = host.seen(id);
        for (const auto& view : model::fields_of(vxlan))
            if (view.value)
                for (const auto& now : model::fields_of(there))
                    if (now.name == view.name) CHECK_MESSAGE(now.value == view.value, view.name);
        CHECK(host.find(id)->mark == model::Mark::complete);

        vxlan.remote = other;
        vxlan.ttl = 9;
        const std::string index = sh("cat /sys/class/net/" + std::string(name) + "/ifindex");
        host.must({Host::update(name, vxlan, "remote")});
        host.must({Host::update(name, vxlan, "ttl")});
        CHECK(detail("remote" + family) == other);
        CHECK(detail("ttl") == "9");
        CHECK(detail("id") == "4711");
        CHECK(sh("cat /sys/class/net/" + std::string(name) + "/ifindex") == index);
        CHECK(host.seen(id).remote == other);
    }
}
