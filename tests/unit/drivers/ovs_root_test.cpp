#include <signal.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "drivers/api/mark.h"
#include "drivers/ovs/driver.h"
#include "support/ovsdb_server.h"
#include "support/skip.h"

namespace ctl::drivers {
namespace {

using model::ObjectId;
using model::ObjectKind;

std::unique_ptr<Driver> driver_on(const std::string& database) {
    auto driver = make_ovs_driver({"/nonexistent", "/nonexistent", "/nonexistent", database});
    REQUIRE(driver);
    return std::move(*driver);
}

ObjectId bridge(const std::string& name) { return {ObjectKind::ovs_bridge, name}; }

}  // namespace

TEST_CASE("bridges of the database are listed with their datapath and their owner") {
    CTL_SKIP_IF(::geteuid() != 0, "an ovsdb-server in namespaces of its own needs root");
    const testing::OvsdbServer server;
    const model::ResourceRef owner{"lab", "Network", "ovs-br0"};
    server.vsctl({"add-br", "ovs-br0", "--", "set", "bridge", "ovs-br0", "datapath_type=netdev", "--", "br-set-external-id",
                  "ovs-br0", "ctl", make_mark(owner, bridge("ovs-br0"))});
    server.vsctl({"add-br", "theirs"});

    const auto state = driver_on(server.remote())->observe({}, {});

    REQUIRE(state);
    REQUIRE(state->size() == 2);
    const model::Entry& ours = state->at(bridge("ovs-br0"));
    CHECK(std::get<model::OvsBridge>(ours.object).datapath == "netdev");
    CHECK(ours.mark == model::Mark::complete);
    CHECK(ours.owner == owner);
    const model::Entry& theirs = state->at(bridge("theirs"));
    CHECK(std::get<model::OvsBridge>(theirs.object).datapath == "system");
    CHECK(theirs.mark == model::Mark::none);
}

TEST_CASE("only the bridges asked for are listed when not all are") {
    CTL_SKIP_IF(::geteuid() != 0, "an ovsdb-server in namespaces of its own needs root");
    const testing::OvsdbServer server;
    server.vsctl({"add-br", "one", "--", "add-br", "two"});

    const auto state = driver_on(server.remote())->observe(Interest::only({bridge("two"), bridge("three")}), {});

    REQUIRE(state);
    CHECK(state->size() == 1);
    CHECK(state->contains(bridge("two")));
}

TEST_CASE("reading the database leaves the process's signal handlers as they were") {
    CTL_SKIP_IF(::geteuid() != 0, "an ovsdb-server in namespaces of its own needs root");
    const testing::OvsdbServer server;
    struct sigaction before {};
    ::sigaction(SIGTERM, nullptr, &before);

    REQUIRE(driver_on(server.remote())->observe({}, {}));

    struct sigaction after {};
    ::sigaction(SIGTERM, nullptr, &after);
    CHECK((before.sa_handler == after.sa_handler));
}

TEST_CASE("without an ovsdb-server there is nothing, unless a bridge is asked for by name") {
    const auto driver = driver_on("unix:/nonexistent/db.sock");

    const auto all = driver->observe({}, {});
    REQUIRE(all);
    CHECK(all->empty());

    const auto named = driver->observe(Interest::only({bridge("ovs-br0")}), {});
    REQUIRE_FALSE(named);
    CHECK(named.error().code() == ErrorCode::missing_driver);
    CHECK(named.error().hint() == "apt-get install openvswitch-switch");

    const auto others = driver->observe(Interest::only({{ObjectKind::link, "br0"}}), {});
    REQUIRE(others);
    CHECK(others->empty());
}

TEST_CASE("changing a bridge is refused as not supported yet") {
    diff::Change change;
    change.id = bridge("ovs-br0");
    change.verb = diff::Verb::create;
    std::vector<ErrorCode> outcomes;

    driver_on("unix:/nonexistent/db.sock")
        ->apply({&change, 1}, [&](std::size_t, Status outcome) { outcomes.push_back(outcome.error().code()); }, {});

    CHECK(outcomes == std::vector{ErrorCode::unsupported});
}

}  // namespace ctl::drivers
