#include <doctest/doctest.h>
#include <sys/eventfd.h>

#include <atomic>
#include <fstream>
#include <thread>

#include "reconcile/lock.h"
#include "reconcile/sqlite_journal.h"
#include "reconcile/utc.h"
#include "reconcile/watch.h"
#include "support/wait.h"
#include "temporary_folder.h"
#include "tiny_host.h"
#include "tiny_stack.h"

using namespace ctl;
using namespace ctl::reconcile;
using namespace ctl::testing;

namespace {

/// Keeps the lines and counts the runs.
class LoggingReporter final : public Reporter {
public:
    void plan_started(const Plan&) override { ++runs; }
    void step_started(const Plan&, std::size_t) override {}
    void step_finished(const Plan&, std::size_t, const StepReport&) override {}
    void run_finished(const Plan&, const RunReport&) override {}
    void log(LogLevel, std::string_view line) override {
        const std::lock_guard hold(mutex_);
        lines_ += std::string(line) + '\n';
    }
    bool said(const std::string& text) {
        const std::lock_guard hold(mutex_);
        return lines_.find(text) != std::string::npos;
    }
    std::atomic<int> runs{0};

private:
    std::mutex mutex_;
    std::string lines_;
};

/// Knows how often the watch has gone round.
class CountingClock final : public Clock {
public:
    std::chrono::steady_clock::time_point now() override {
        ++calls;
        return clock_.now();
    }
    std::chrono::system_clock::time_point wall() override { return clock_.wall(); }
    void sleep_for(std::chrono::milliseconds duration) override { clock_.sleep_for(duration); }
    std::atomic<int> calls{0};

private:
    SystemClock clock_;
};

/// A running watch. A manifest here is a line of bridge names; "broken" is one that can't be read.
class Watching {
public:
    Watching() {
        options.folder = folder.path() / "manifests";
        std::filesystem::create_directory(options.folder);
        options.state_dir = folder.path();
        options.settle = std::chrono::milliseconds(5);
        options.coalesce = std::chrono::milliseconds(1);
        options.execute.verify_deadline = std::chrono::milliseconds(1);
    }
    ~Watching() {
        if (thread_.joinable()) end();
    }

    void write(const std::string& content) {
        std::ofstream(folder.path() / "new") << content;
        std::filesystem::rename(folder.path() / "new", options.folder / "lab.yaml");
    }
    void start() {
        thread_ = std::thread([this] {
            result = watch(
                environment, options, [this](Diagnostics& findings) { return load(findings); }, stop_.get());
        });
    }
    void end() {
        const std::uint64_t one = 1;
        CHECK(::write(stop_.get(), &one, sizeof one) == sizeof one);
        thread_.join();
    }
    void ring() { static_cast<TinyDriver*>(drivers.all().front().get())->ring(); }

    /// Somebody deletes an object by hand.
    void lose(const std::string& id) {
        {
            const std::lock_guard hold(host.mutex);
            host.state.erase(*model::ObjectId::parse(id));
        }
        ring();
    }

    TemporaryFolder folder;
    TinyHost host;
    DriverSet drivers = tiny_drivers(host);
    CountingClock clock;
    LoggingReporter reporter;
    std::unique_ptr<SqliteJournal> journal = std::move(*SqliteJournal::open(":memory:", clock));
    Environment environment{drivers, *journal, clock, reporter, {}};
    WatchOptions options;
    Status result;

private:
    model::resource::Stack load(Diagnostics& findings) {
        std::ifstream file(options.folder / "lab.yaml");
        std::vector<std::string> names;
        for (std::string name; file >> name;) names.push_back(name);
        if (names == std::vector<std::string>{"broken"}) findings.error("syntax", "broken on purpose", {});
        return bridges(names);
    }

    Fd stop_{::eventfd(0, EFD_CLOEXEC)};
    std::thread thread_;
};

}  // namespace

TEST_CASE("watch applies the folder, follows edits, repairs drift and ends when told") {
    Watching watching;
    watching.write("br0");
    watching.start();
    REQUIRE(wait_until([&] { return watching.host.has("link/br0"); }));
    watching.write("br0 br1");
    REQUIRE(wait_until([&] { return watching.host.has("link/br1"); }));
    REQUIRE(wait_until([&] { return watching.reporter.runs == 2; }));
    watching.lose("link/br0");
    REQUIRE(wait_until([&] { return watching.host.has("link/br0"); }));
    watching.end();
    CHECK(watching.result);
    CHECK(watching.reporter.runs == 3);
}

TEST_CASE("its own changes make watch look once more, not work once more") {
    Watching watching;
    watching.write("br0");
    watching.start();
    REQUIRE(wait_until([&] { return watching.reporter.said("applied"); }));
    watching.write("br0 br1");
    REQUIRE(wait_until([&] { return watching.reporter.runs == 2 && watching.host.has("link/br1"); }));
    watching.end();
    CHECK(watching.reporter.runs == 2);
}

TEST_CASE("what expires while another ctl is at work is deleted after it, and nobody goes round in circles till then") {
    Watching watching;
    watching.write("br0");
    watching.start();
    REQUIRE(wait_until([&] { return watching.reporter.said("applied"); }));
    std::size_t looks = 0;
    {
        model::Entry entry;
        entry.object =
            model::Snapshot{"2020-01-01T00:00:00Z", utc_text(watching.clock.wall() + std::chrono::milliseconds(400))};
        entry.owner = {"lab", "Container", "web"};
        entry.mark = model::Mark::complete;
        const std::lock_guard hold(watching.host.mutex);
        watching.host.state.emplace(*model::ObjectId::parse("snapshot/default/web@old"), entry);
        looks = watching.host.observations;
    }
    watching.ring();
    REQUIRE(wait_until([&] {
        const std::lock_guard hold(watching.host.mutex);
        return watching.host.observations > looks;
    }));
    {
        std::optional<Lock> other;
        REQUIRE(wait_until([&] {
            if (auto lock = Lock::acquire(watching.options.state_dir, "apply", watching.clock))
                other.emplace(std::move(*lock));
            return other.has_value();
        }));
        REQUIRE(wait_until([&] { return watching.reporter.said("lock"); }));
        const int calls = watching.clock.calls;
        CHECK_FALSE(wait_until([&] { return watching.clock.calls > calls + 1000; }, std::chrono::seconds(1)));
        CHECK(watching.host.has("snapshot/default/web@old"));
    }
    CHECK(wait_until([&] { return !watching.host.has("snapshot/default/web@old"); }));
    watching.end();
}

TEST_CASE("a broken or empty revision is refused and the last good one stays in force") {
    Watching watching;
    watching.write("br0");
    watching.start();
    REQUIRE(wait_until([&] { return watching.reporter.said("applied"); }));
    watching.write("broken");
    REQUIRE(wait_until([&] { return watching.reporter.said("broken on purpose"); }));
    watching.lose("link/br0");
    REQUIRE(wait_until([&] { return watching.host.has("link/br0"); }));
    watching.write("");
    REQUIRE(wait_until([&] { return watching.reporter.said("declares nothing"); }));
    CHECK(watching.host.has("link/br0"));
    watching.write("br0 br1");
    REQUIRE(wait_until([&] { return watching.host.has("link/br1"); }));
}

TEST_CASE("a folder that goes away and comes back is followed again") {
    Watching watching;
    watching.write("br0");
    watching.start();
    REQUIRE(wait_until([&] { return watching.host.has("link/br0"); }));
    std::filesystem::remove_all(watching.options.folder);
    REQUIRE(wait_until([&] { return watching.reporter.said("revision refused"); }));
    CHECK(watching.host.has("link/br0"));
    std::filesystem::create_directory(watching.options.folder);
    watching.write("br0 br1");
    REQUIRE(wait_until([&] { return watching.host.has("link/br1"); }));
}

TEST_CASE("a failure is tried again after a pause, not at every event") {
    Watching watching;
    watching.options.first_retry = std::chrono::milliseconds(150);
    watching.host.failures["create link/br0"] = "no such luck";
    watching.write("br0");
    watching.start();
    REQUIRE(wait_until([&] { return watching.reporter.said("no such luck"); }));
    const auto seen = [&] {
        const std::lock_guard hold(watching.host.mutex);
        return watching.host.observations;
    };
    // Events that the failure makes lead to looks, not to tries.
    const auto before = seen();
    watching.ring();
    REQUIRE(wait_until([&] { return seen() > before; }));
    {
        const std::lock_guard hold(watching.host.mutex);
        watching.host.failures.clear();
    }
    REQUIRE(wait_until([&] { return watching.host.has("link/br0"); }));
    CHECK(watching.reporter.runs <= 3);
}

TEST_CASE("watching a folder that isn't there is an error at once") {
    Watching watching;
    watching.options.folder = "/nonexistent/ctl";
    watching.start();
    watching.end();
    REQUIRE_FALSE(watching.result);
    CHECK(watching.result.error().code() == ErrorCode::not_found);
}
