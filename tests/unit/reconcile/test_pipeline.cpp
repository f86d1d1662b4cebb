#include <doctest/doctest.h>

#include "reconcile/reconciler.h"
#include "reconcile/sqlite_journal.h"
#include "tiny_host.h"
#include "tiny_stack.h"

using namespace ctl;
using namespace ctl::reconcile;
using namespace ctl::testing;

namespace {

struct Bench {
    TinyHost host;
    DriverSet drivers = tiny_drivers(host);
    SystemClock clock;
    SilentReporter reporter;
    std::unique_ptr<SqliteJournal> journal = std::move(*SqliteJournal::open(":memory:", clock));
    Environment environment{drivers, *journal, clock, reporter, {}};

    Prepared prepared(const model::resource::Stack& stack, const PrepareOptions& options = {}) {
        auto result = prepare(environment, stack, options);
        REQUIRE_MESSAGE(result, (result ? "" : result.error().str()));
        return std::move(*result);
    }
    RunReport applied(const Prepared& what) {
        REQUIRE_MESSAGE(what.is_applicable(), (what.is_applicable() ? "" : what.diagnostics.all().front().message));
        auto report = apply(environment, what, {});
        REQUIRE_MESSAGE(report, (report ? "" : report.error().str()));
        return std::move(*report);
    }
    std::set<model::ObjectId> ids() {
        std::set<model::ObjectId> all;
        for (const auto& [id, entry] : host.state)
            if (entry.mark != model::Mark::none || !entry.borrowed) all.insert(id);
        return all;
    }
};

}  // namespace

TEST_CASE("after an apply the second plan is empty and nothing is written") {
    Bench bench;
    const auto stack = bridges({"br0", "br1"});
    CHECK(bench.applied(bench.prepared(stack)).succeeded());
    CHECK(bench.host.has("link/br0"));
    const auto again = bench.prepared(stack);
    CHECK(again.plan.empty());
    CHECK(bench.applied(again).run == 0);
}

TEST_CASE("what left the stack is deleted and forgotten") {
    Bench bench;
    CHECK(bench.applied(bench.prepared(bridges({"br0", "br1"}))).succeeded());
    CHECK(bench.applied(bench.prepared(bridges({"br0"}))).succeeded());
    CHECK_FALSE(bench.host.has("link/br1"));
    CHECK_FALSE(bench.journal->recorded("lab")->contains(*model::ObjectId::parse("link/br1")));
    CHECK(bench.journal->resources("lab")->size() == 1);
}

TEST_CASE("an empty stack deletes nothing unless that is allowed") {
    Bench bench;
    CHECK(bench.applied(bench.prepared(bridges({"br0"}))).succeeded());
    const auto refused = prepare(bench.environment, bridges({}), {});
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code() == ErrorCode::policy);
    PrepareOptions options;
    options.allow_empty = true;
    CHECK(bench.applied(bench.prepared(bridges({}), options)).succeeded());
    CHECK_FALSE(bench.host.has("link/br0"));
    CHECK(bench.journal->stacks()->empty());
}

TEST_CASE("one resource can be deleted, and only if it is known") {
    Bench bench;
    CHECK(bench.applied(bench.prepared(bridges({"br0", "br1"}))).succeeded());
    auto result = prepare_delete_resource(bench.environment, {"lab", "Network", "br1"}, {});
    REQUIRE(result);
    CHECK(bench.applied(*result).succeeded());
    CHECK_FALSE(bench.host.has("link/br1"));
    CHECK(bench.host.has("link/br0"));
    CHECK(prepare_delete_resource(bench.environment, {"lab", "Network", "no"}, {}).error().code() == ErrorCode::not_found);
}

TEST_CASE("a run that died between intent and result converges, and what it made is pruned when it is no longer wanted") {
    Bench bench;
    const auto first = bench.prepared(bridges({"br0", "br1"}));
    const auto run =
        bench.journal->begin_run({"lab", "dies", first.allocations, first.resources, {}}, first.plan, first.desired);
    REQUIRE(run);
    std::vector<std::size_t> all;
    for (std::size_t i = 0; i < first.plan.steps.size(); ++i) all.push_back(i);
    REQUIRE(bench.journal->intend(*run, all));
    for (const auto& [id, entry] : first.desired) {
        if (id.kind != model::ObjectKind::link) continue;
        auto made = entry;
        made.mark = model::Mark::begun;
        bench.host.state.emplace(id, made);
    }
    const auto next = bench.prepared(bridges({"br0"}));
    CHECK(next.recovered == all.size());
    CHECK(bench.applied(next).succeeded());
    CHECK_FALSE(bench.host.has("link/br1"));
    CHECK(bench.host.has("link/br0"));
    CHECK(bench.journal->unfinished()->empty());
    CHECK(bench.prepared(bridges({"br0"})).plan.empty());
}

TEST_CASE("an undo restores the host and the record of before") {
    Bench bench;
    CHECK(bench.applied(bench.prepared(bridges({"br0"}, "1400"))).succeeded());
    const auto ids = bench.ids();
    const auto record = bench.journal->recorded("lab");
    const auto change = bench.prepared(bridges({"br0", "br1"}, "1300"));
    CHECK(bench.applied(change).succeeded());
    const auto undo = prepare_undo(bench.environment, change);
    REQUIRE(undo);
    CHECK(bench.applied(*undo).succeeded());
    CHECK(bench.ids() == ids);
    const auto br0 = *model::ObjectId::parse("link/br0");
    CHECK(std::get<model::Link>(bench.host.state.at(br0).object).mtu == 1400);
    CHECK(bench.journal->recorded("lab")->size() == record->size());
    CHECK(bench.prepared(bridges({"br0"}, "1400")).plan.empty());
}

TEST_CASE("the datapath that a bridge of Open vSwitch has stays, whatever a new one would get") {
    Bench bench;
    auto stack = bridges({"br0"});
    stack.networks.front().config["bridge.driver"] = {{"openvswitch", {}}, {}};
    const auto br0 = *model::ObjectId::parse("ovs_bridge/br0");
    const auto datapath_of = [&](const Prepared& prepared) {
        return std::get<model::OvsBridge>(prepared.desired.at(br0).object).datapath;
    };
    CHECK(datapath_of(bench.prepared(stack)) == "system");
    model::OvsBridge in_user_space;
    in_user_space.datapath = "netdev";
    bench.host.state[br0].object = in_user_space;
    const auto prepared = bench.prepared(stack);
    CHECK(datapath_of(prepared) == "netdev");
    CHECK(prepared.allocations.at("datapath/br0") == "netdev");
}

TEST_CASE("a lost journal is rebuilt from the marks, and the next plan deletes nothing") {
    Bench bench;
    const auto stack = bridges({"br0"});
    CHECK(bench.applied(bench.prepared(stack)).succeeded());
    REQUIRE(bench.journal->forget_stack("lab"));
    const auto rebuilt = rebuild_from_marks(bench.environment);
    REQUIRE(rebuilt);
    REQUIRE(rebuilt->size() == 1);
    CHECK(rebuilt->front().stack == "lab");
    const auto plan = bench.prepared(stack).plan;
    CHECK(summarise(plan).remove == 0);
    CHECK(summarise(plan).create == 0);
}

TEST_CASE("a manifest that needs a driver that isn't there is refused by name") {
    Bench bench;
    DriverSet none;
    const Environment environment{none, *bench.journal, bench.clock, bench.reporter, {}};
    const auto result = prepare(environment, bridges({"br0"}), {});
    REQUIRE_FALSE(result);
    CHECK(result.error().code() == ErrorCode::missing_driver);
}
