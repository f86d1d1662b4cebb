#include "drivers/netlink/loans.h"

#include "drivers/api/mark.h"
#include "netlink_world.h"

// NICs of the host that are lent to namespaces.

using namespace ctl;
using namespace ctl::testing;
using drivers::netlink::Loan;

TEST_CASE("what a NIC was is read from its alias, and nothing from others' aliases") {
    const Loan loan{"enp4s0f0", "02:00:00:00:00:77", 9000, true, ""};
    const std::string mark = "ctl:1:lab:Container/web:link/web:eth0";
    const std::string alias = drivers::netlink::loan_alias(mark, loan);
    CHECK(alias == mark + " was enp4s0f0 02:00:00:00:00:77 9000 up");
    CHECK(drivers::netlink::read_loan(alias) == loan);
    CHECK(drivers::netlink::mark_of(alias) == mark);
    const Loan named{"enp4s0f0", "", 1500, false, "uplink  to the lab"};
    CHECK(drivers::netlink::read_loan(drivers::netlink::loan_alias(mark, named)) == named);
    CHECK(drivers::marked_object(mark) == ObjectId{model::ObjectKind::link, "web:eth0"});
    CHECK(drivers::netlink::mark_of(mark) == mark);
    for (const std::string other :
         {"", "uplink", "uplink that was eth0", "x was eth0 02:00:00:00:00:77 big up", "x was a b 1 maybe"})
        CHECK_MESSAGE(!drivers::netlink::read_loan(other), other);
    CHECK_FALSE(drivers::marked_object("uplink"));
}

TEST_CASE("a NIC that was claimed and hasn't moved is seen as half-made, and lent or let go") {
    SKIP_WITHOUT_NAMESPACES();
    Host host;
    host.must({Host::netns("web", "none")});
    sh("ip link add hw0 type veth peer name far0; ip link set hw0 address 02:00:00:00:00:77 up");
    sh("ip link set hw0 alias 'ctl:1:lab:Container/web:link/web:eth0 was hw0 02:00:00:00:00:77 1500 up'");
    const auto* seen = host.find("link/web:eth0");
    REQUIRE(seen != nullptr);
    CHECK(seen->mark == model::Mark::begun);
    CHECK(std::get<Link>(seen->object).hardware == "hw0");
    Link wanted;
    wanted.hardware = "hw0";
    wanted.up = true;
    SUBCASE("lent") {
        host.must({Host::link("web:eth0", wanted)});
        CHECK(host.find("link/web:eth0")->mark == model::Mark::complete);
        CHECK(in("web", "ip -j link show eth0 | jq -r '.[0].address'") == "02:00:00:00:00:77");
        CHECK(sh("ip link show hw0 2>/dev/null | wc -l") == "0");
        Change removal = Host::change(Verb::remove, {model::ObjectKind::link, "web:eth0"});
        host.must({removal});
    }
    SUBCASE("let go") {
        Change removal = Host::change(Verb::remove, {model::ObjectKind::link, "web:eth0"});
        removal.observed.edit().object = wanted;
        host.must({removal});
    }
    SUBCASE("its namespace is removed") {
        host.must({Host::link("web:eth0", wanted)});
        host.must({Host::change(Verb::remove, {model::ObjectKind::netns, "web"})});
    }
    CHECK(sh("ip -j link show hw0 | jq -r '.[0] | \"\\(.ifalias) \\(.flags | index(\"UP\") != null)\"'") == "null true");
    sh("ip link del hw0");
}

TEST_CASE("a NIC that is lent to one isn't lent to another") {
    SKIP_WITHOUT_NAMESPACES();
    Host host;
    host.must({Host::netns("web", "none")});
    sh("ip link add hw0 type veth peer name far0");
    sh("ip link set hw0 alias 'ctl:1:lab:Container/db:link/db:eth0 was hw0 02:00:00:00:00:77 1500 up'");
    Link wanted;
    wanted.hardware = "hw0";
    CHECK(why(host.apply({Host::link("web:eth0", wanted)}).front()).find("hw0 is lent already") != std::string::npos);
    sh("ip link del hw0");
}
