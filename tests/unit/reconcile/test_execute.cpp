#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>

#include "reconcile/execute.h"
#include "reconcile/sqlite_journal.h"
#include "support/wait.h"
#include "tiny_host.h"

using namespace ctl;
using namespace ctl::reconcile;
using namespace ctl::testing;

namespace {

/// Time that passes only by sleeping.
class FakeClock final : public Clock {
public:
    std::chrono::steady_clock::time_point now() override { return std::chrono::steady_clock::time_point(now_.load()); }
    std::chrono::system_clock::time_point wall() override { return {}; }
    void sleep_for(std::chrono::milliseconds duration) override { now_ = now_.load() + std::chrono::nanoseconds(duration); }

private:
    std::atomic<std::chrono::nanoseconds> now_{std::chrono::nanoseconds(1)};
};

/// Remembers what it was told; relies on being told one thing at a time.
class NotingReporter final : public Reporter {
public:
    void plan_started(const Plan&) override {}
    void step_started(const Plan&, std::size_t step) override { started.push_back(step); }
    void step_finished(const Plan&, std::size_t step, const StepReport& report) override {
        finished.emplace_back(step, report.outcome);
    }
    void run_finished(const Plan&, const RunReport&) override {}
    void log(LogLevel, std::string_view) override {}

    std::vector<std::size_t> started;
    std::vector<std::pair<std::size_t, Outcome>> finished;
};

/// A journal, a host and its drivers for one run.
struct Bench {
    TinyHost host;
    DriverSet drivers = tiny_drivers(host);
    FakeClock clock;
    NotingReporter reporter;
    std::unique_ptr<SqliteJournal> journal = std::move(*SqliteJournal::open(":memory:", clock));
    model::HostState recorded;
    ExecuteOptions options;
    std::stop_source stop;

    RunReport run(const PlanBuilder& builder) {
        const auto run = journal->begin_run({"lab", "test", {}, {}, recorded}, builder.plan, builder.wanted);
        REQUIRE(run);
        return execute(builder.plan, *run, {builder.wanted, recorded}, drivers, *journal, clock, reporter, options,
                       stop.get_token());
    }
    bool remembers(const std::string& id) { return journal->recorded("lab")->contains(*model::ObjectId::parse(id)); }
};

std::size_t position(const std::vector<std::string>& all, const std::string& one) {
    return static_cast<std::size_t>(std::find(all.begin(), all.end(), one) - all.begin());
}

}  // namespace

TEST_CASE("steps run after what they need, across drivers, and are remembered") {
    Bench bench;
    PlanBuilder builder;
    const auto bridge = builder.create_link("br0");
    const auto web = builder.create_container("web", {bridge});
    builder.create_link("after", {web});
    const auto report = bench.run(builder);
    CHECK(report.succeeded());
    CHECK(bench.host.applied == std::vector<std::string>{"create link/br0", "create container/web", "create link/after"});
    CHECK(bench.journal->recorded("lab")->size() == 3);
    CHECK(bench.journal->unfinished()->empty());
}

TEST_CASE("independent steps of one driver go to it as one batch") {
    Bench bench;
    PlanBuilder builder;
    for (int i = 0; i < 50; ++i) builder.create_link("l" + std::to_string(i));
    CHECK(bench.run(builder).succeeded());
    CHECK(bench.host.batches == std::vector<std::size_t>{50});
}

TEST_CASE("parallelism bounds the steps in flight") {
    Bench bench;
    bench.options.parallelism = 3;
    PlanBuilder builder;
    for (int i = 0; i < 10; ++i) builder.create_link("l" + std::to_string(i));
    for (int i = 0; i < 10; ++i) builder.create_container("c" + std::to_string(i));
    CHECK(bench.run(builder).succeeded());
    CHECK(*std::max_element(bench.host.batches.begin(), bench.host.batches.end()) <= 3);
}

TEST_CASE("who waits holds up nobody, and takes no place from who works") {
    Bench bench;
    bench.options.parallelism = 1;
    PlanBuilder builder;
    const auto quick = builder.wait_for("a:port");
    builder.wait_for("b:exec");
    builder.create_link("after-a", {quick});
    // What b waits for comes after a.
    bench.host.on_change = [&](const diff::Change& change) {
        if (change.id.name == "b:exec") CHECK(wait_until([&] { return bench.host.has("link/after-a"); }));
    };
    CHECK(bench.run(builder).succeeded());
}

TEST_CASE("a failure stops what depends on it and nothing else") {
    Bench bench;
    bench.host.failures["create link/bad"] = "refused by the kernel";
    PlanBuilder builder;
    const auto bad = builder.create_link("bad");
    const auto good = builder.create_link("good");
    const auto child = builder.create_container("child", {bad});
    const auto grandchild = builder.create_link("grandchild", {child});
    const auto other = builder.create_container("other", {good});
    const auto report = bench.run(builder);
    CHECK_FALSE(report.succeeded());
    CHECK(report.steps[bad].outcome == Outcome::failed);
    CHECK(report.steps[bad].error->str().find("refused by the kernel") != std::string::npos);
    CHECK(report.steps[child].outcome == Outcome::blocked);
    CHECK(report.steps[grandchild].outcome == Outcome::blocked);
    CHECK(report.steps[grandchild].blocked_by == bad);
    CHECK(report.steps[good].outcome == Outcome::done);
    CHECK(report.steps[other].outcome == Outcome::done);
    CHECK_FALSE(report.stopped);
    CHECK(bench.reporter.finished.size() == 5);
    CHECK(bench.reporter.started.size() == 3);
    CHECK_FALSE(bench.remembers("link/bad"));
    CHECK(bench.remembers("container/other"));
}

TEST_CASE("a step that needs two things runs once when both are done") {
    Bench bench;
    PlanBuilder builder;
    const auto a = builder.create_link("a");
    const auto b = builder.create_container("b");
    builder.create_link("c", {a, b});
    CHECK(bench.run(builder).succeeded());
    CHECK(std::count(bench.host.applied.begin(), bench.host.applied.end(), "create link/c") == 1);
    CHECK(position(bench.host.applied, "create link/c") == 2);
}

TEST_CASE("what the host does not show is diverging, and says what it shows") {
    Bench bench;
    bench.host.silent = {"link/a", "link/b"};
    bench.host.state.emplace(*model::ObjectId::parse("link/b"), link_entry(1280));
    PlanBuilder builder;
    builder.create_link("a");
    builder.add(diff::Verb::update, "link/b", link_entry(9000));
    const auto report = bench.run(builder);
    REQUIRE(report.steps[0].error);
    CHECK(report.steps[0].error->code() == ErrorCode::diverging);
    REQUIRE(report.steps[1].error);
    CHECK(report.steps[1].error->str().find("mtu is 1280 instead of 9000") != std::string::npos);
    CHECK(report.elapsed >= bench.options.verify_deadline);
}

TEST_CASE("a deletion is done when the object is gone") {
    Bench bench;
    for (const auto* id : {"link/gone", "link/stays"}) {
        bench.host.state.emplace(*model::ObjectId::parse(id), link_entry(1500));
        bench.recorded.emplace(*model::ObjectId::parse(id), link_entry(1500));
    }
    bench.host.silent = {"link/stays"};
    PlanBuilder builder;
    builder.add(diff::Verb::remove, "link/gone", link_entry(1500));
    builder.add(diff::Verb::remove, "link/stays", link_entry(1500));
    const auto report = bench.run(builder);
    CHECK(report.steps[0].outcome == Outcome::done);
    CHECK(report.steps[1].outcome == Outcome::failed);
    CHECK_FALSE(bench.remembers("link/gone"));
    CHECK(bench.remembers("link/stays"));
}

TEST_CASE("what settles a little later is waited for") {
    Bench bench;
    bench.host.silent = {"link/slow"};
    PlanBuilder builder;
    builder.create_link("slow");
    class SettlingClock final : public Clock {
    public:
        explicit SettlingClock(TinyHost& host) : host_(host) {}
        std::chrono::steady_clock::time_point now() override { return {}; }
        std::chrono::system_clock::time_point wall() override { return {}; }
        void sleep_for(std::chrono::milliseconds) override {
            const std::lock_guard hold(host_.mutex);
            if (++sleeps == 3) host_.state.emplace(*model::ObjectId::parse("link/slow"), link_entry(1500));
        }
        int sleeps = 0;

    private:
        TinyHost& host_;
    } clock(bench.host);
    const auto run = bench.journal->begin_run({"lab", "test", {}, {}, {}}, builder.plan, builder.wanted);
    const auto report = execute(builder.plan, *run, {builder.wanted, bench.recorded}, bench.drivers, *bench.journal, clock,
                                bench.reporter, bench.options, {});
    CHECK(report.succeeded());
    CHECK(clock.sleeps == 3);
}

TEST_CASE("after a stop what runs is finished and nothing new begins") {
    Bench bench;
    PlanBuilder builder;
    const auto first = builder.create_link("first");
    const auto second = builder.create_link("second");
    const auto next = builder.create_container("next", {first});
    bench.host.on_change = [&](const diff::Change& change) {
        if (change.id.name == "first") bench.stop.request_stop();
    };
    const auto report = bench.run(builder);
    CHECK(report.stopped);
    CHECK(report.steps[first].outcome == Outcome::done);
    CHECK(report.steps[second].outcome == Outcome::not_started);
    CHECK(report.steps[next].outcome == Outcome::not_started);
    CHECK(bench.remembers("link/first"));
    CHECK(bench.journal->unfinished()->empty());
}

TEST_CASE("an exception out of a driver fails its steps only") {
    Bench bench;
    bench.host.throws = true;
    PlanBuilder builder;
    builder.create_link("a");
    const auto report = bench.run(builder);
    REQUIRE(report.steps[0].error);
    CHECK(report.steps[0].error->code() == ErrorCode::internal);
    CHECK(report.steps[0].error->str().find("thrown by a library") != std::string::npos);
}

TEST_CASE("a failed creation that left something of ours behind is remembered") {
    Bench bench;
    bench.host.failures["create link/half"] = "died in the middle";
    bench.host.on_change = [&](const diff::Change& change) {
        const std::lock_guard hold(bench.host.mutex);
        auto half = link_entry(1500);
        half.mark = model::Mark::begun;
        bench.host.state.emplace(change.id, half);
    };
    PlanBuilder builder;
    builder.create_link("half");
    CHECK_FALSE(bench.run(builder).succeeded());
    CHECK(bench.remembers("link/half"));
}

TEST_CASE("without a journal nothing is touched") {
    Bench bench;
    PlanBuilder builder;
    builder.create_link("a");
    const auto run = bench.journal->begin_run({"lab", "test", {}, {}, {}}, builder.plan, builder.wanted);
    REQUIRE(run);

    /// Fails to take intents.
    class BrokenJournal final : public Journal {
    public:
        Result<std::vector<StackInfo>> stacks() override { return broken(); }
        Result<model::HostState> recorded(const std::string&) override { return broken(); }
        Result<model::HostState> others(const std::string&) override { return broken(); }
        Result<model::Allocations> allocations(const std::string&) override { return broken(); }
        Result<model::Allocations> taken(const std::string&) override { return broken(); }
        Result<std::vector<DeclaredResource>> resources(const std::string&) override { return broken(); }
        Result<std::vector<UnfinishedStep>> unfinished() override { return broken(); }
        Result<RunId> begin_run(const RunStart&, const Plan&, const model::HostState&) override { return broken(); }
        Status intend(RunId, std::span<const std::size_t>) override { return broken(); }
        Status conclude(RunId, std::span<const StepResult>) override { return broken(); }
        Status finish_run(RunId, RunOutcome) override { return broken(); }
        Status put_recorded(const std::string&, const model::HostState&) override { return broken(); }
        Status forget_stack(const std::string&) override { return broken(); }
        Status add_event(const std::string&, const std::string&, const std::string&) override { return broken(); }

    private:
        static Error broken() { return {ErrorCode::no_space, "no space left"}; }
    } journal;
    const auto report = execute(builder.plan, *run, {builder.wanted, bench.recorded}, bench.drivers, journal, bench.clock,
                                bench.reporter, bench.options, {});
    REQUIRE(report.journal_error);
    CHECK(report.journal_error->code() == ErrorCode::no_space);
    CHECK(report.steps[0].outcome == Outcome::not_started);
    CHECK(bench.host.applied.empty());
}

TEST_CASE("a thousand steps over two drivers end once each") {
    Bench bench;
    PlanBuilder builder;
    for (int i = 0; i < 500; ++i) {
        const auto link =
            builder.create_link("l" + std::to_string(i),
                                i >= 10 ? std::vector<std::size_t>{std::size_t(i - 10) * 2} : std::vector<std::size_t>{});
        builder.create_container("c" + std::to_string(i), {link});
    }
    const auto report = bench.run(builder);
    CHECK(report.count(Outcome::done) == 1000);
    CHECK(bench.reporter.finished.size() == 1000);
    CHECK(bench.journal->recorded("lab")->size() == 1000);
}
