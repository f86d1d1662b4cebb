#include "drivers/sysctl/driver.h"

#include <doctest/doctest.h>

#include "support/own_namespaces.h"
#include "support/skip.h"

using namespace ctl;
using namespace ctl::drivers;
using model::ObjectId;
using model::ObjectKind;
using model::Sysctl;

TEST_CASE("dots part folders, and a slash stands for a dot in an interface's name") {
    CHECK(*sysctl_path("net.ipv4.ip_forward") == "/proc/sys/net/ipv4/ip_forward");
    CHECK(*sysctl_path("net.ipv4.conf.eth0/1.forwarding") == "/proc/sys/net/ipv4/conf/eth0.1/forwarding");
}

TEST_CASE("names that would lead out of /proc/sys are refused") {
    for (const auto* name : {"", "/etc/passwd", "net..ipv4", "net.//.x", "net./.x", ".net"})
        CHECK_MESSAGE(!sysctl_path(name).has_value(), name);
}

TEST_CASE("a host that is made to forward IPv6 goes on hearing its own router, but not its containers") {
    const std::string reason = ctl::testing::enter_own_namespaces();
    CTL_SKIP_IF(!reason.empty(), reason);
    ctl::testing::sh("ip link add uplink type veth peer name router; ip link add lab0 type bridge");
    const auto accepts = [](const std::string& link) {
        return ctl::testing::sh("cat /proc/sys/net/ipv6/conf/" + link + "/accept_ra");
    };
    REQUIRE(accepts("uplink") == "1");
    diff::Change change;
    change.id = {ObjectKind::sysctl, "net.ipv6.conf.all.forwarding"};
    change.verb = diff::Verb::update;
    change.desired.edit().object = Sysctl{.value = "1"};
    const auto driver = std::move(*make_sysctl_driver({}));
    driver->apply(std::vector{change}, [](std::size_t, const Status& outcome) { CHECK(outcome.has_value()); }, {});
    CHECK(ctl::testing::sh("cat /proc/sys/net/ipv6/conf/all/forwarding") == "1");
    CHECK(accepts("uplink") == "2");
    CHECK(accepts("lab0") == "1");
    CHECK(accepts("default") == "1");
}

TEST_CASE("a parameter is observed by name only, set, and one that is missing is not there") {
    const std::string reason = ctl::testing::enter_own_namespaces();
    CTL_SKIP_IF(!reason.empty(), reason);
    const auto driver = std::move(*make_sysctl_driver({}));
    const ObjectId id{ObjectKind::sysctl, "net.ipv4.conf.lo.forwarding"};
    const ObjectId missing{ObjectKind::sysctl, "net.ipv4.conf.nowhere.forwarding"};
    CHECK(driver->observe({}, {})->empty());
    for (const std::string value : {"1", "0"}) {
        diff::Change change;
        change.id = id;
        change.verb = diff::Verb::update;
        change.desired.edit().object = Sysctl{.value = value};
        driver->apply(std::vector{change}, [](std::size_t, const Status& outcome) { CHECK(outcome.has_value()); }, {});
        const auto state = driver->observe(Interest::only({id, missing}), {});
        REQUIRE(state.has_value());
        CHECK(state->size() == 1);
        CHECK(std::get<Sysctl>(state->at(id).object).value == value);
        CHECK(ctl::testing::sh("cat /proc/sys/net/ipv4/conf/lo/forwarding") == value);
    }
}

TEST_CASE("what concerns all interfaces is set before what concerns one, which it would undo") {
    const std::string reason = ctl::testing::enter_own_namespaces();
    CTL_SKIP_IF(!reason.empty(), reason);
    const auto driver = std::move(*make_sysctl_driver({}));
    const auto update = [](const std::string& name, const std::string& value) {
        diff::Change change;
        change.id = {ObjectKind::sysctl, name};
        change.verb = diff::Verb::update;
        change.desired.edit().object = Sysctl{.value = value};
        return change;
    };
    driver->apply(std::vector{update("net.ipv4.conf.lo.forwarding", "0"), update("net.ipv4.ip_forward", "1")},
                  [](std::size_t, const Status& outcome) { CHECK(outcome.has_value()); }, {});
    CHECK(ctl::testing::sh("cat /proc/sys/net/ipv4/ip_forward") == "1");
    CHECK(ctl::testing::sh("cat /proc/sys/net/ipv4/conf/lo/forwarding") == "0");
}

TEST_CASE("an interface's parameter that is given back has what a new interface would have") {
    const std::string reason = ctl::testing::enter_own_namespaces();
    CTL_SKIP_IF(!reason.empty(), reason);
    const auto driver = std::move(*make_sysctl_driver({}));
    ctl::testing::sh("ip link add brx type bridge && echo 0 > /proc/sys/net/ipv4/conf/default/forwarding");
    const auto forget = [&](const std::string& name) {
        diff::Change change;
        change.id = {ObjectKind::sysctl, name};
        change.verb = diff::Verb::forget;
        change.fields.push_back({"value", std::string("1"), std::nullopt, model::Effect::live, diff::Cause::unset, {}});
        driver->apply(std::vector{change}, [](std::size_t, const Status& outcome) { CHECK(outcome.has_value()); }, {});
    };
    ctl::testing::sh("echo 1 > /proc/sys/net/ipv4/conf/brx/forwarding && echo 7 > /proc/sys/net/ipv4/ip_default_ttl");
    forget("net.ipv4.conf.brx.forwarding");
    CHECK(ctl::testing::sh("cat /proc/sys/net/ipv4/conf/brx/forwarding") == "0");
    forget("net.ipv4.ip_default_ttl");
    CHECK(ctl::testing::sh("cat /proc/sys/net/ipv4/ip_default_ttl") == "7");
    ctl::testing::sh("ip link del brx");
    forget("net.ipv4.conf.brx.forwarding");
}
