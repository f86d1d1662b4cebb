#include <doctest/doctest.h>

#include "base/text.h"
#include "lab.h"

// What the commands that only look say, against what ip says.

namespace ctl::testing {
namespace {}  // namespace

TEST_CASE("describe and graph show a network with its ports, their counters and the containers behind them") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    const std::string example = "manifests/examples/quickstart.yaml";
    lab.must_apply(example);
    REQUIRE(lab.pings("web1", "10.28.0.1"));
    const std::string port = lab.line(
        program + " describe network lanbr0 -o json | jq -r '.attached[] | select(.container == \"web1\") | .port'");

    SUBCASE("the port is the one that the kernel has in the bridge") {
        CHECK(lab.line("ip -j link show master lanbr0 | jq length") == "3");
        CHECK(lab.line("ip -j link show " + port + " | jq -r '.[0].master'") == "lanbr0");
        CHECK(lab.line(program +
                       " describe network lanbr0 -o json | jq -c '[.attached[] | [.container, .addresses[0]]] | sort'") ==
              R"([["db","10.28.0.13/24"],["web1","10.28.0.11/24"],["web2","10.28.0.12/24"]])");
        const std::string text = lab.must(program + " describe network lanbr0");
        CHECK(text.find("Addresses    10.28.0.1/24\n") != std::string::npos);
        CHECK(text.find("Attached: 3\n") != std::string::npos);
    }
    SUBCASE("the counters are the kernel's") {
        // The port carried an answered ping, and nothing but neighbour lookups since: the kernel's figure read before is not
        // above ours, the one read after not below.
        const std::string counters = "ip -s -j link show " + port + " | jq '.[0].stats64.rx.bytes'";
        const long before = std::stol(lab.line(counters));
        const long ours =
            std::stol(lab.line(program + " describe network lanbr0 -o json | jq '.attached[] | select(.port == \"" + port +
                               "\") | .counters.rx_bytes'"));
        const long after = std::stol(lab.line(counters));
        CHECK(before > 0);
        CHECK(before <= ours);
        CHECK(ours <= after);
    }
    SUBCASE("the host's picture is the manifest's") {
        // Only the host knows states; names of veth pairs are derived from the container's.
        const std::string web1 = "web1  container, running, eth0 by " + port + ", 10.28.0.11/24\n";
        const std::string host = lab.must(program + " graph --host");
        CHECK(host.find("lanbr0  network, bridge, 10.28.0.1/24\n") != std::string::npos);
        CHECK(host.find("─ " + web1) != std::string::npos);
        CHECK(lab.must(program + " graph -f " + CTL_SOURCE_DIR "/" + example).find("─ " + web1) != std::string::npos);
        CHECK(lab.line(program + " graph --host -o dot | grep -c ' -- '") == "3");
        CHECK(lab.must(program + " graph --host -o svg").find("</svg>") != std::string::npos);
    }
    SUBCASE("a network that isn't there is an error") {
        const Output missing = lab.sh(program + " describe network nonesuch");
        CHECK(missing.exit_code == 1);
        CHECK(missing.err.find("no network \"nonesuch\" of ctl's is on this host") != std::string::npos);
        CHECK(lab.sh(program + " describe container web1").exit_code == 64);
    }
    lab.must_delete(example);
}

}  // namespace ctl::testing
