#include <doctest/doctest.h>

#include "reconcile/by_hand.h"
#include "reconcile/sqlite_journal.h"
#include "support/builders.h"
#include "tiny_host.h"

using namespace ctl;
using namespace ctl::reconcile;
using namespace ctl::test;
using namespace ctl::testing;
using model::Bond;
using model::ContainerState;

namespace {

/// A host on which the stack "lab" has applied web, which depends on db; both run.
struct Bench {
    TinyHost host;
    DriverSet drivers = tiny_drivers(host);
    SystemClock clock;
    SilentReporter reporter;
    std::unique_ptr<SqliteJournal> journal = std::move(*SqliteJournal::open(":memory:", clock));
    Environment environment{drivers, *journal, clock, reporter, {}};

    Bench() {
        const auto recorded = state(
            {{"netns/db", wanted(model::Netns{.idmap = "none"})},
             {"netns/web", wanted(model::Netns{.idmap = "none"})},
             {"container/db", wanted(container(), {need("netns/db", Bond::restart)})},
             {"container/web", wanted(container(), {need("container/db", Bond::order), need("netns/web", Bond::restart)})}});
        REQUIRE(journal->put_recorded(stack_name, recorded));
        for (auto [name, entry] : recorded) {
            entry.mark = model::Mark::complete;
            entry.needs.clear();
            host.state.emplace(name, entry);
        }
    }

    Result<Prepared> prepared(const ByHand& wish) { return prepare_by_hand(environment, stack_name, wish); }

    std::vector<std::string> steps(const ByHand& wish) {
        const auto result = prepared(wish);
        REQUIRE_MESSAGE(result, (result ? "" : result.error().str()));
        std::vector<std::string> names;
        for (const auto& step : result->plan.steps)
            names.push_back(std::string(diff::to_string(step.change.verb)) + " " + step.change.id.str());
        return names;
    }

    void set(const std::string& name, ContainerState now, bool held = false) {
        auto& entry = host.state.at(id(name));
        std::get<model::Container>(entry.object).state = now;
        entry.held = held;
    }
};

using Steps = std::vector<std::string>;

ByHand hand(std::set<std::string> containers, ContainerState to) {
    return {.containers = std::move(containers), .state = to};
}

}  // namespace

TEST_CASE("a stop by hand touches nothing else, and stops first what stands on the others") {
    Bench bench;
    bench.host.state.erase(id("netns/db"));
    CHECK(bench.steps(hand({"web", "db"}, ContainerState::stopped)) == Steps{"stop container/web", "stop container/db"});
    ByHand wish = hand({"web"}, ContainerState::stopped);
    wish.patience = std::chrono::seconds(3);
    const auto prepared = bench.prepared(wish);
    REQUIRE(prepared);
    const auto& change = prepared->plan.steps.front().change;
    CHECK(change.desired->held);
    CHECK(std::get<model::Container>(change.desired->object).stop_timeout == 3);
}

TEST_CASE("the record goes on saying what the manifest said") {
    Bench bench;
    const auto prepared = bench.prepared(hand({"web"}, ContainerState::frozen));
    REQUIRE(prepared);
    REQUIRE(apply(bench.environment, *prepared, {})->succeeded());
    CHECK(bench.host.done() == Steps{"update container/web"});
    const auto recorded = bench.journal->recorded(stack_name);
    REQUIRE(recorded->size() == 4);
    CHECK(model::find_object<model::Container>(*recorded, "web")->state == ContainerState::running);
}

TEST_CASE("what is so already takes no step, and what died is held once somebody says so") {
    Bench bench;
    CHECK(bench.steps(hand({"web"}, ContainerState::running)).empty());
    bench.set("container/web", ContainerState::stopped, true);
    CHECK(bench.steps(hand({"web"}, ContainerState::stopped)).empty());
    bench.set("container/web", ContainerState::stopped);
    CHECK(bench.steps(hand({"web"}, ContainerState::stopped)) == Steps{"stop container/web"});
}

TEST_CASE("a start brings back what the container stands on, and leaves to themselves those that are held") {
    Bench bench;
    bench.set("container/web", ContainerState::stopped, true);
    bench.set("container/db", ContainerState::stopped);
    bench.host.state.erase(id("netns/web"));
    CHECK(bench.steps(hand({"web"}, ContainerState::running)) ==
          Steps{"create netns/web", "update container/db", "update container/web"});
    bench.set("container/db", ContainerState::stopped, true);
    CHECK(bench.steps(hand({"web"}, ContainerState::running)) == Steps{"create netns/web", "update container/web"});
}

TEST_CASE("what can't be done by hand is an error") {
    Bench bench;
    CHECK(bench.prepared(hand({"ghost"}, ContainerState::stopped)).error().code() == ErrorCode::not_found);
    bench.set("container/web", ContainerState::stopped);
    CHECK(bench.prepared(hand({"web"}, ContainerState::frozen)).error().code() == ErrorCode::conflict);
    ByHand thaw = hand({"web"}, ContainerState::running);
    thaw.starts = false;
    CHECK(bench.prepared(thaw).error().code() == ErrorCode::conflict);
    bench.host.state.erase(id("container/web"));
    CHECK(bench.prepared(hand({"web"}, ContainerState::running)).error().code() == ErrorCode::not_found);
}
