#include <SQLiteCpp/SQLiteCpp.h>
#include <doctest/doctest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "model/state_json.h"
#include "reconcile/sqlite_journal.h"
#include "reconcile/sqlite_schema.h"
#include "temporary_folder.h"
#include "tiny_host.h"

using namespace ctl;
using namespace ctl::reconcile;
using ctl::testing::link_entry;
using ctl::testing::PlanBuilder;
using ctl::testing::TemporaryFolder;

namespace {

SystemClock system_clock;

std::unique_ptr<SqliteJournal> journal_in(const std::filesystem::path& file) {
    auto journal = SqliteJournal::open(file, system_clock, std::chrono::milliseconds(100));
    REQUIRE_MESSAGE(journal, (journal ? "" : journal.error().str()));
    return std::move(*journal);
}

model::ObjectId id_of(const char* text) { return *model::ObjectId::parse(text); }

RunStart start_of(const std::string& stack) {
    return {stack, "ctl apply", {{"mac/web/eth0", "00:16:3e:00:00:01"}}, {{"Network", "n", "a.yaml:1:1"}}, {}};
}

/// A file of random-looking bytes where a database should be.
void spoil(const std::filesystem::path& file) { REQUIRE(write_file_atomically(file, std::string(8192, 'x'))); }

}  // namespace

TEST_CASE("a new database has the newest schema and is for its owner only") {
    const TemporaryFolder folder;
    const auto file = folder.path() / "state.db";
    const auto journal = journal_in(file);
    struct stat info {};
    REQUIRE(::stat(file.c_str(), &info) == 0);
    CHECK((info.st_mode & 0777) == 0600);
    const auto version = query_journal(file, "PRAGMA user_version");
    REQUIRE(version);
    CHECK(version->rows[0][0] == std::to_string(newest_schema()));
}

TEST_CASE("a database of the first schema keeps its content through the migrations") {
    const TemporaryFolder folder;
    const auto file = folder.path() / "state.db";
    {
        auto old = open_database(file, std::chrono::milliseconds(100));
        REQUIRE(old);
        REQUIRE(migrate(**old, 1));
        (*old)->exec("INSERT INTO stacks VALUES ('lab')");
        SQLite::Statement insert(**old, "INSERT INTO objects VALUES ('lab', 'link', 'br0', 'Network', 'n', ?)");
        insert.bind(1, model::entry_to_json(link_entry(1400)));
        insert.exec();
    }
    const auto journal = journal_in(file);
    const auto recorded = journal->recorded("lab");
    REQUIRE(recorded);
    CHECK(std::get<model::Link>(recorded->at(id_of("link/br0")).object).mtu == 1400);
    CHECK(journal->begin_run(start_of("lab"), {}, {}));
}

TEST_CASE("a database of a newer ctl is refused and says so") {
    const TemporaryFolder folder;
    const auto file = folder.path() / "state.db";
    {
        auto database = open_database(file, std::chrono::milliseconds(100));
        REQUIRE(database);
        REQUIRE(migrate(**database));
        (*database)->exec("PRAGMA user_version = 99");
    }
    const auto journal = SqliteJournal::open(file, system_clock);
    REQUIRE_FALSE(journal);
    CHECK(journal.error().code() == ErrorCode::invalid);
    CHECK(journal.error().message().find("newer ctl") != std::string::npos);
}

TEST_CASE("somebody else's database is refused and left as it is") {
    const TemporaryFolder folder;
    const auto file = folder.path() / "state.db";
    { SQLite::Database(file.string(), SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE).exec("CREATE TABLE theirs (x)"); }
    const auto journal = SqliteJournal::open(file, system_clock);
    REQUIRE_FALSE(journal);
    CHECK(journal.error().code() == ErrorCode::invalid);
    const auto tables = query_journal(file, "SELECT name FROM sqlite_master");
    REQUIRE(tables);
    CHECK(tables->rows.size() == 1);
}

TEST_CASE("a damaged database is a clear error with a way out") {
    const TemporaryFolder folder;
    const auto file = folder.path() / "state.db";
    spoil(file);
    const auto journal = SqliteJournal::open(file, system_clock);
    REQUIRE_FALSE(journal);
    CHECK(journal.error().code() == ErrorCode::invalid);
    CHECK(journal.error().message().find("damaged") != std::string::npos);
    CHECK(journal.error().hint().find("ctl state rebuild") != std::string::npos);
}

TEST_CASE("a database that another process writes to is locked after the timeout") {
    const TemporaryFolder folder;
    const auto file = folder.path() / "state.db";
    const auto journal = journal_in(file);
    SQLite::Database other(file.string(), SQLite::OPEN_READWRITE);
    SQLite::Transaction writing(other, SQLite::TransactionBehavior::IMMEDIATE);
    const auto run = journal->begin_run(start_of("lab"), {}, {});
    REQUIRE_FALSE(run);
    CHECK(run.error().code() == ErrorCode::locked);
}

TEST_CASE("results of steps become the record, in the order they come") {
    const auto journal = journal_in(":memory:");
    PlanBuilder builder;
    builder.create_link("a");
    builder.create_link("b");
    const auto run = journal->begin_run(start_of("lab"), builder.plan, builder.wanted);
    REQUIRE(run);
    CHECK(journal->recorded("lab")->empty());
    const std::vector<std::size_t> both{0, 1};
    REQUIRE(journal->intend(*run, both));
    CHECK(journal->unfinished()->size() == 2);

    std::vector<StepResult> results(2);
    results[0].recorded = link_entry(1500);
    results[1].step = 1;
    results[1].error = Error(ErrorCode::io, "no");
    REQUIRE(journal->conclude(*run, results));
    CHECK(journal->recorded("lab")->size() == 1);
    CHECK(journal->recorded("lab")->contains(id_of("link/a")));
    CHECK(journal->unfinished()->empty());

    results.resize(1);
    results[0].recorded.reset();
    results[0].removed = true;
    REQUIRE(journal->conclude(*run, results));
    CHECK(journal->recorded("lab")->empty());
}

TEST_CASE("stacks see each other's objects and allocations, never their own") {
    const auto journal = journal_in(":memory:");
    auto start = start_of("lab");
    start.recorded.emplace(id_of("link/a"), link_entry(1500));
    REQUIRE(journal->begin_run(start, {}, {}));
    CHECK(journal->others("lab")->empty());
    CHECK(journal->others("web")->contains(id_of("link/a")));
    CHECK(journal->taken("lab")->empty());
    CHECK(journal->taken("web")->at("lab/mac/web/eth0") == "00:16:3e:00:00:01");
    CHECK(journal->allocations("lab")->size() == 1);
    CHECK(journal->resources("lab")->front().name == "n");
    REQUIRE(journal->stacks()->size() == 1);
    CHECK(journal->stacks()->front().objects == 1);
    CHECK(journal->stacks()->front().last_outcome == "running");
}

TEST_CASE("a forgotten stack leaves nothing but its runs") {
    const auto journal = journal_in(":memory:");
    auto start = start_of("lab");
    start.recorded.emplace(id_of("link/a"), link_entry(1500));
    REQUIRE(journal->begin_run(start, {}, {}));
    REQUIRE(journal->forget_stack("lab"));
    CHECK(journal->stacks()->empty());
    CHECK(journal->recorded("lab")->empty());
    CHECK(journal->allocations("lab")->empty());
}

TEST_CASE("an intent survives a kill between it and the result, and the next run closes the dead one") {
    const TemporaryFolder folder;
    const auto file = folder.path() / "state.db";
    PlanBuilder builder;
    builder.create_link("a");
    builder.create_link("b");
    const pid_t child = ::fork();
    if (child == 0) {
        SystemClock clock;
        auto journal = SqliteJournal::open(file, clock);
        const auto run = (*journal)->begin_run(start_of("lab"), builder.plan, builder.wanted);
        const std::vector<std::size_t> second{1};
        (void)(*journal)->intend(*run, second);
        ::raise(SIGKILL);
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    REQUIRE(WIFSIGNALED(status));

    const auto journal = journal_in(file);
    const auto steps = journal->unfinished();
    REQUIRE(steps);
    REQUIRE(steps->size() == 1);
    CHECK(steps->front().id == id_of("link/b"));
    CHECK(steps->front().stack == "lab");
    CHECK(steps->front().verb == diff::Verb::create);
    REQUIRE(steps->front().desired);
    CHECK(std::get<model::Link>(steps->front().desired->object).mtu == 1500);

    REQUIRE(journal->begin_run(start_of("lab"), {}, {}));
    CHECK(journal->unfinished()->empty());
    const auto runs = query_journal(file, "SELECT outcome FROM runs ORDER BY id");
    REQUIRE(runs);
    CHECK(runs->rows[0][0] == "interrupted");
    const auto states = query_journal(file, "SELECT state FROM steps ORDER BY step");
    REQUIRE(states);
    CHECK(states->rows[0][0] == "planned");
    CHECK(states->rows[1][0] == "unknown");
}

TEST_CASE("a query reads and never writes") {
    const TemporaryFolder folder;
    const auto file = folder.path() / "state.db";
    CHECK(query_journal(file, "select 1").error().code() == ErrorCode::not_found);
    const auto journal = journal_in(file);
    REQUIRE(journal->begin_run(start_of("lab"), {}, {}));
    const auto rows = query_journal(file, "SELECT name, NULL AS absent FROM stacks");
    REQUIRE(rows);
    CHECK(rows->columns == std::vector<std::string>{"name", "absent"});
    CHECK(rows->rows[0][0] == "lab");
    CHECK_FALSE(rows->rows[0][1]);
    for (const auto* sql : {"DELETE FROM stacks", "DROP TABLE stacks", "SELECT 1; DELETE FROM stacks", "selec", "", "VACUUM",
                            "ATTACH '/tmp/ctl-never.db' AS x"}) {
        CAPTURE(sql);
        CHECK_FALSE(query_journal(file, sql));
    }
    CHECK(journal->stacks()->size() == 1);
}

TEST_CASE("only the latest runs of a stack are kept") {
    const auto journal = journal_in(":memory:");
    RunId last = 0;
    for (int i = 0; i < 120; ++i) {
        const auto run = journal->begin_run(start_of("lab"), {}, {});
        REQUIRE(run);
        REQUIRE(journal->finish_run(*run, RunOutcome::done));
        last = *run;
    }
    CHECK(last == 120);
    CHECK(journal->stacks()->front().last_outcome == "done");
}
