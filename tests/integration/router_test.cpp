#include <doctest/doctest.h>

#include "base/text.h"
#include "lab.h"
#include "support/skip.h"
#include "support/wait.h"

// A container that routes for another one, judged by ping, tcpdump and nft.

namespace ctl::testing {
namespace {

/// Sends one packet from the client there and says which source address arrives on the LAN.
std::string seen_source(const Lab& lab, const std::string& destination) {
    lab.must(
        "rm -f /run/seen /run/dump.err; (ip netns exec lan timeout 20 tcpdump -n -l -i lan0 -c 1 'icmp[icmptype] == "
        "icmp-echo and dst " +
        destination + "' > /run/seen 2> /run/dump.err &)");
    REQUIRE(wait_until([&] { return lab.sh("grep -q listening /run/dump.err").exit_code == 0; }));
    (void)lab.attach("client", "ping -c 2 -W 1 " + destination);
    REQUIRE(wait_until([&] { return lab.sh("test -s /run/seen").exit_code == 0; }));
    return std::string(trimmed(lab.must("awk '{ print $3 }' /run/seen")));
}

}  // namespace

TEST_CASE("14: a container routes for another and translates its address, except towards one subnet") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    lab.add_lan("enp4s0f0", {}, {"192.0.2.1/24", "10.0.2.1/24"});
    const auto before = lab.traces();
    const std::string example = "manifests/examples/14-router-container.yaml";
    lab.must_apply(example);
    CHECK(trimmed(lab.attach("router", "cat /proc/sys/net/ipv4/ip_forward").out) == "1");
    CHECK(trimmed(lab.must("cat /proc/sys/net/ipv4/ip_forward")) == "0");
    CHECK(lab.pings("client", "10.149.11.1"));
    CHECK(lab.pings("client", "192.0.2.1"));
    CHECK(seen_source(lab, "192.0.2.1") == "192.0.2.20");
    CHECK(seen_source(lab, "10.0.2.1") == "10.149.11.2");

    SUBCASE("what else is declared changes live") {
        const std::string init = lab.init_pid("router");
        const std::string changed = replaced(Lab::source(example), "    router.ipv4.masquerade.except: 10.0.2.0/24\n", "");
        lab.must_apply(lab.write("stack.yaml", changed));
        CHECK(seen_source(lab, "10.0.2.1") == "192.0.2.20");
        CHECK(lab.init_pid("router") == init);
    }
    SUBCASE("what somebody flushes is put back") {
        REQUIRE(lab.in_netns("router", "nft flush ruleset").exit_code == 0);
        CHECK(lab.plan(example).exit_code == 2);
        lab.must_apply(example);
        CHECK(seen_source(lab, "192.0.2.1") == "192.0.2.20");
    }
    lab.must_delete(example);
    lab.check_nothing_left(before);
}

}  // namespace ctl::testing
