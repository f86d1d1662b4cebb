#include "netlink_world.h"

// Rate limits of links, judged by tc.

using namespace ctl;
using namespace ctl::testing;

namespace {

std::string classes(const std::string& link) {
    return sh("tc -d class show dev " + link + " | grep -o 'htb .*' | sed 's/ burst.*//'");
}

Link limited(std::optional<std::int64_t> send, std::optional<std::int64_t> receive = std::nullopt) {
    Link link = bridge();
    link.send_limit = send;
    link.receive_limit = receive;
    return link;
}

}  // namespace

TEST_CASE("what a link sends is limited by a class of htb, changed in place and taken away") {
    SKIP_WITHOUT_NAMESPACES();
    Host host;
    host.must({Host::link("br0", limited(10'000'000))});
    CHECK(sh("tc qdisc show dev br0 | cut -d' ' -f2,3") == "htb 199:");
    CHECK(classes("br0").find("rate 10Mbit ceil 10Mbit") != std::string::npos);
    CHECK(host.seen("link/br0").send_limit == 10'000'000);

    host.must({Host::update("br0", limited(30'000'000'000), "send_limit")});
    CHECK(classes("br0").find("ceil 30Gbit") != std::string::npos);
    CHECK_MESSAGE(host.seen("link/br0").send_limit == 30'000'000'000, "more than 32 bits of bytes a second");
    host.must({Host::update("br0", limited(8), "send_limit")});
    CHECK(host.seen("link/br0").send_limit == 8);

    Change unset = Host::update("br0", limited(8), "send_limit");
    unset.fields.front().to.reset();
    unset.desired.edit().object = bridge();
    host.must({unset});
    CHECK(classes("br0").empty());
    CHECK_FALSE(host.seen("link/br0").send_limit);
}

TEST_CASE("a limit that somebody takes away is not seen any more, and can be put back") {
    SKIP_WITHOUT_NAMESPACES();
    Host host;
    host.must({Host::link("br0", limited(10'000'000))});
    const int fd = host.driver->events().front().fd;
    (void)host.driver->drain(fd);
    sh("tc qdisc del dev br0 root");
    CHECK_MESSAGE(host.driver->drain(fd), "it wakes the watch");
    sh("tc qdisc add dev lo root handle 5: pfifo limit 10; tc qdisc del dev lo root");
    CHECK_FALSE_MESSAGE(host.driver->drain(fd), "others' qdiscs don't");
    CHECK_FALSE(host.seen("link/br0").send_limit);
    host.must({Host::update("br0", limited(10'000'000), "send_limit")});
    CHECK(host.seen("link/br0").send_limit == 10'000'000);
    sh("tc qdisc replace dev br0 root handle 7: tbf rate 1mbit burst 10kb latency 50ms");
    CHECK_FALSE_MESSAGE(host.seen("link/br0").send_limit, "somebody else's qdisc");
}

TEST_CASE("what a link receives is policed, or refused beforehand by a kernel that can't") {
    SKIP_WITHOUT_NAMESPACES();
    Host host;
    const Change wanted = Host::link("br0", limited(std::nullopt, 10'000'000));
    const auto errors = host.driver->preflight({&wanted, 1});
    if (errors.empty()) {
        host.must({wanted});
        CHECK(host.seen("link/br0").receive_limit == 10'000'000);
        CHECK(sh("tc filter show dev br0 ingress").find("10Mbit") != std::string::npos);
        host.must({Host::update("br0", limited(std::nullopt, 20'000'000), "receive_limit")});
        CHECK(host.seen("link/br0").receive_limit == 20'000'000);
        host.must({Host::update("br0", limited(std::nullopt, 0), "receive_limit")});
        CHECK_FALSE(host.seen("link/br0").receive_limit);
        return;
    }
    const std::string text = errors.front().str();
    CAPTURE(text);
    CHECK(text.find("this kernel can't limit what a link receives") != std::string::npos);
    CHECK(text.find("modprobe -a sch_ingress cls_u32 act_police") != std::string::npos);
    const Change sending = Host::link("br0", limited(10'000'000));
    CHECK(host.driver->preflight({&sending, 1}).empty());
}
