#include "reconcile/sqlite_journal.h"

#include <SQLiteCpp/SQLiteCpp.h>
#include <SQLiteCpp/VariadicBind.h>
#include <fmt/format.h>
#include <unistd.h>

#include <mutex>

#include "base/text.h"
#include "model/state_json.h"
#include "reconcile/sqlite_schema.h"
#include "reconcile/utc.h"

namespace ctl::reconcile {

namespace {

// History a person may want to look at; older runs and events are dropped.
constexpr int runs_kept = 100;
constexpr int events_kept = 10'000;

std::string kind_text(model::ObjectKind kind) { return std::string(to_string(kind)); }

std::string_view text(RunOutcome outcome) {
    switch (outcome) {
        case RunOutcome::done: return "done";
        case RunOutcome::failed: return "failed";
        case RunOutcome::stopped: return "stopped";
    }
    return {};
}

std::string column_text(SQLite::Statement& statement, int index) { return statement.getColumn(index).getString(); }

Result<model::ObjectId> read_id(SQLite::Statement& row, int kind_column) {
    const auto kind = model::enum_from<model::ObjectKind>(column_text(row, kind_column));
    if (!kind)
        return Error(ErrorCode::invalid, fmt::format("the journal has an object of the unknown kind {}",
                                                     ctl::quoted(column_text(row, kind_column))))
            .hint("it was written by another version of ctl");
    return model::ObjectId{*kind, column_text(row, kind_column + 1)};
}

/// From rows of (kind, name, entry). Of two stacks that recorded one object the first by name has it.
Result<model::HostState> read_objects(SQLite::Statement& rows) {
    model::HostState state;
    while (rows.executeStep()) {
        CTL_ASSIGN(auto id, read_id(rows, 0));
        auto entry = model::entry_from_json(id.kind, column_text(rows, 2));
        if (!entry) return std::move(entry).error().while_(fmt::format("reading the record of {}", escaped(id.str())));
        state.try_emplace(std::move(id), std::move(*entry));
    }
    return state;
}

model::Allocations read_allocations(SQLite::Statement& rows) {
    model::Allocations allocations;
    while (rows.executeStep()) allocations.emplace(column_text(rows, 0), column_text(rows, 1));
    return allocations;
}

/// The statements of one transaction; the caller holds the mutex and commits.
class Writer {
public:
    Writer(SQLite::Database& database, Clock& clock) : database_(database), now_(utc_text(clock.wall())) {}

    [[nodiscard]] const std::string& now() const { return now_; }

    template <typename... Values>
    void exec(const char* sql, const Values&... values) {
        SQLite::Statement statement(database_, sql);
        SQLite::bind(statement, values...);
        statement.exec();
    }

    void add_stack(const std::string& stack) { exec("INSERT OR IGNORE INTO stacks (name) VALUES (?)", stack); }

    void put_object(const std::string& stack, const model::ObjectId& id, const model::Entry& entry,
                    const std::string& json) {
        exec("INSERT OR REPLACE INTO objects (stack, kind, name, owner_kind, owner_name, entry) VALUES (?, ?, ?, ?, ?, ?)",
             stack, kind_text(id.kind), id.name, entry.owner.kind, entry.owner.name, json);
    }

    void drop_object(const std::string& stack, const std::string& kind, const std::string& name) {
        exec("DELETE FROM objects WHERE stack = ? AND kind = ? AND name = ?", stack, kind, name);
    }

    /// Writes only the rows that differ: most of a big stack stays as it is from run to run.
    void replace_objects(const std::string& stack, const model::HostState& state) {
        std::map<std::pair<std::string, std::string>, std::string> has;
        {
            SQLite::Statement rows(database_, "SELECT kind, name, entry FROM objects WHERE stack = ?");
            rows.bind(1, stack);
            while (rows.executeStep()) has[{column_text(rows, 0), column_text(rows, 1)}] = column_text(rows, 2);
        }
        for (const auto& [id, entry] : state) {
            auto node = has.extract({kind_text(id.kind), id.name});
            const auto json = model::entry_to_json(entry);
            if (node.empty() || node.mapped() != json) put_object(stack, id, entry, json);
        }
        for (const auto& [key, unused] : has) drop_object(stack, key.first, key.second);
    }

    void replace_allocations(const std::string& stack, const model::Allocations& allocations) {
        exec("DELETE FROM allocations WHERE stack = ?", stack);
        for (const auto& [key, value] : allocations)
            exec("INSERT INTO allocations (stack, key, value) VALUES (?, ?, ?)", stack, key, value);
    }

    void replace_resources(const std::string& stack, const std::vector<DeclaredResource>& resources) {
        exec("DELETE FROM resources WHERE stack = ?", stack);
        for (const auto& resource : resources)
            exec("INSERT OR REPLACE INTO resources (stack, kind, name, declared_at, profiles) VALUES (?, ?, ?, ?, ?)", stack,
                 resource.kind, resource.name, resource.where, resource.profiles);
    }

    void close_dead_runs(const std::string& stack) {
        exec(
            "UPDATE steps SET state = 'unknown', finished = ? WHERE state = 'started' AND run IN "
            "(SELECT id FROM runs WHERE stack = ? AND outcome = 'running')",
            now_, stack);
        exec("UPDATE runs SET outcome = 'interrupted', finished = ? WHERE stack = ? AND outcome = 'running'", now_, stack);
    }

    void drop_old_runs(const std::string& stack) {
        exec(
            "DELETE FROM runs WHERE stack = ?1 AND id NOT IN (SELECT id FROM runs WHERE stack = ?1 ORDER BY id DESC LIMIT "
            "?2)",
            stack, runs_kept);
    }

    RunId add_run(const std::string& stack, const std::string& command) {
        exec("INSERT INTO runs (stack, command, pid, started, outcome) VALUES (?, ?, ?, ?, 'running')", stack, command,
             static_cast<std::int64_t>(::getpid()), now_);
        return database_.getLastInsertRowid();
    }

    void add_steps(RunId run, const Plan& plan, const model::HostState& wanted) {
        SQLite::Statement insert(database_,
                                 "INSERT INTO steps (run, step, kind, name, verb, reason, desired, state) "
                                 "VALUES (?, ?, ?, ?, ?, ?, ?, 'planned')");
        for (std::size_t i = 0; i < plan.steps.size(); ++i) {
            const auto& change = plan.steps[i].change;
            insert.reset();
            insert.clearBindings();
            insert.bind(1, run);
            insert.bind(2, static_cast<std::int64_t>(i));
            insert.bind(3, kind_text(change.id.kind));
            insert.bind(4, change.id.name);
            insert.bind(5, std::string(diff::to_string(change.verb)));
            insert.bind(6, change.reason);
            const auto found = wanted.find(change.id);
            if (found != wanted.end()) insert.bind(7, model::entry_to_json(found->second));
            insert.exec();
        }
    }

    Status conclude(RunId run, std::span<const StepResult> results) {
        for (const auto& result : results) {
            const auto step = static_cast<std::int64_t>(result.step);
            const auto state = !result.begun ? "planned" : result.error ? "failed" : "done";
            exec("UPDATE steps SET state = ?, finished = ?, error = nullif(?, '') WHERE run = ? AND step = ?", state, now_,
                 result.error ? result.error->str() : std::string(), run, step);
            CTL_TRY(update_record(run, step, result));
        }
        return ok();
    }

private:
    /// What the step's object is remembered as from now on.
    Status update_record(RunId run, std::int64_t step, const StepResult& result) {
        if (!result.recorded && !result.removed) return ok();
        SQLite::Statement row(database_,
                              "SELECT kind, name, stack FROM steps JOIN runs ON runs.id = run WHERE run = ? AND step = ?");
        row.bind(1, run);
        row.bind(2, step);
        if (!row.executeStep())
            return Error(ErrorCode::internal, fmt::format("the journal has no step {} of run {}", step, run));
        CTL_ASSIGN(const auto id, read_id(row, 0));
        const auto stack = column_text(row, 2);
        if (result.recorded) put_object(stack, id, *result.recorded, model::entry_to_json(*result.recorded));
        else drop_object(stack, kind_text(id.kind), id.name);
        return ok();
    }

    SQLite::Database& database_;
    std::string now_;
};

}  // namespace

class SqliteJournal::Impl {
public:
    Impl(std::filesystem::path file, std::unique_ptr<SQLite::Database> database, Clock& clock)
        : file_(std::move(file)), database_(std::move(database)), clock_(clock) {}

    /// Runs `work` with the connection; what SQLite throws becomes an error.
    template <typename Work>
    auto read(Work work) -> decltype(work(std::declval<SQLite::Database&>())) {
        const std::lock_guard hold(mutex_);
        try {
            return work(*database_);
        } catch (const SQLite::Exception& exception) {
            return sqlite_error(exception, file_);
        }
    }

    /// The same in one transaction, which is rolled back when `work` fails.
    template <typename Work>
    auto write(Work work) -> decltype(work(std::declval<Writer&>())) {
        return read([&](SQLite::Database& database) -> decltype(work(std::declval<Writer&>())) {
            SQLite::Transaction transaction(database, SQLite::TransactionBehavior::IMMEDIATE);
            Writer writer(database, clock_);
            auto result = work(writer);
            if (result) transaction.commit();
            return result;
        });
    }

private:
    std::filesystem::path file_;
    std::mutex mutex_;
    std::unique_ptr<SQLite::Database> database_;
    Clock& clock_;
};

SqliteJournal::SqliteJournal(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
SqliteJournal::~SqliteJournal() = default;

Result<std::unique_ptr<SqliteJournal>> SqliteJournal::open(const std::filesystem::path& file, Clock& clock,
                                                           std::chrono::milliseconds busy_timeout) {
    CTL_ASSIGN(auto database, open_database(file, busy_timeout));
    CTL_TRY(migrate(*database));
    return std::unique_ptr<SqliteJournal>(new SqliteJournal(std::make_unique<Impl>(file, std::move(database), clock)));
}

Result<std::vector<StackInfo>> SqliteJournal::stacks() {
    return impl_->read([](SQLite::Database& database) -> Result<std::vector<StackInfo>> {
        SQLite::Statement rows(database,
                               "SELECT name, (SELECT count(*) FROM resources WHERE stack = stacks.name), "
                               "(SELECT count(*) FROM objects WHERE stack = stacks.name), coalesce(runs.started, ''), "
                               "coalesce(runs.outcome, '') FROM stacks LEFT JOIN runs ON runs.id = "
                               "(SELECT max(id) FROM runs WHERE stack = stacks.name) ORDER BY name");
        std::vector<StackInfo> stacks;
        while (rows.executeStep())
            stacks.push_back({column_text(rows, 0), static_cast<std::size_t>(rows.getColumn(1).getInt64()),
                              static_cast<std::size_t>(rows.getColumn(2).getInt64()), column_text(rows, 3),
                              column_text(rows, 4)});
        return stacks;
    });
}

Result<model::HostState> SqliteJournal::recorded(const std::string& stack) {
    return impl_->read([&](SQLite::Database& database) {
        SQLite::Statement rows(database, "SELECT kind, name, entry FROM objects WHERE stack = ?");
        rows.bind(1, stack);
        return read_objects(rows);
    });
}

Result<model::HostState> SqliteJournal::others(const std::string& stack) {
    return impl_->read([&](SQLite::Database& database) {
        SQLite::Statement rows(database, "SELECT kind, name, entry FROM objects WHERE stack <> ? ORDER BY stack");
        rows.bind(1, stack);
        return read_objects(rows);
    });
}

Result<model::Allocations> SqliteJournal::allocations(const std::string& stack) {
    return impl_->read([&](SQLite::Database& database) -> Result<model::Allocations> {
        SQLite::Statement rows(database, "SELECT key, value FROM allocations WHERE stack = ?");
        rows.bind(1, stack);
        return read_allocations(rows);
    });
}

Result<model::Allocations> SqliteJournal::taken(const std::string& stack) {
    return impl_->read([&](SQLite::Database& database) -> Result<model::Allocations> {
        SQLite::Statement rows(database, "SELECT stack || '/' || key, value FROM allocations WHERE stack <> ?");
        rows.bind(1, stack);
        return read_allocations(rows);
    });
}

Result<std::vector<DeclaredResource>> SqliteJournal::resources(const std::string& stack) {
    return impl_->read([&](SQLite::Database& database) -> Result<std::vector<DeclaredResource>> {
        SQLite::Statement rows(
            database, "SELECT kind, name, declared_at, profiles FROM resources WHERE stack = ? ORDER BY kind, name");
        rows.bind(1, stack);
        std::vector<DeclaredResource> resources;
        while (rows.executeStep())
            resources.push_back({column_text(rows, 0), column_text(rows, 1), column_text(rows, 2), column_text(rows, 3)});
        return resources;
    });
}

Result<std::vector<UnfinishedStep>> SqliteJournal::unfinished() {
    return impl_->read([](SQLite::Database& database) -> Result<std::vector<UnfinishedStep>> {
        SQLite::Statement rows(
            database,
            "SELECT run, step, runs.stack, kind, name, verb, desired FROM steps JOIN runs ON runs.id = run "
            "WHERE state = 'started' AND outcome = 'running' ORDER BY run, step");
        std::vector<UnfinishedStep> steps;
        while (rows.executeStep()) {
            UnfinishedStep step;
            step.run = rows.getColumn(0).getInt64();
            step.step = static_cast<std::size_t>(rows.getColumn(1).getInt64());
            step.stack = column_text(rows, 2);
            CTL_ASSIGN(step.id, read_id(rows, 3));
            step.verb = diff::verb_from(column_text(rows, 5)).value_or(diff::Verb::update);
            if (!rows.getColumn(6).isNull()) {
                CTL_ASSIGN(step.desired, model::entry_from_json(step.id.kind, column_text(rows, 6)));
            }
            steps.push_back(std::move(step));
        }
        return steps;
    });
}

Result<RunId> SqliteJournal::begin_run(const RunStart& start, const Plan& plan, const model::HostState& wanted) {
    return impl_->write([&](Writer& writer) -> Result<RunId> {
        writer.add_stack(start.stack);
        writer.close_dead_runs(start.stack);
        writer.replace_objects(start.stack, start.recorded);
        writer.replace_allocations(start.stack, start.allocations);
        writer.replace_resources(start.stack, start.resources);
        const RunId run = writer.add_run(start.stack, start.command);
        writer.add_steps(run, plan, wanted);
        writer.drop_old_runs(start.stack);
        return run;
    });
}

Status SqliteJournal::intend(RunId run, std::span<const std::size_t> steps) {
    return impl_->write([&](Writer& writer) -> Status {
        for (const auto step : steps)
            writer.exec("UPDATE steps SET state = 'started', started = ? WHERE run = ? AND step = ?", writer.now(), run,
                        static_cast<std::int64_t>(step));
        return ok();
    });
}

Status SqliteJournal::conclude(RunId run, std::span<const StepResult> results) {
    return impl_->write([&](Writer& writer) { return writer.conclude(run, results); });
}

Status SqliteJournal::finish_run(RunId run, RunOutcome outcome) {
    return impl_->write([&](Writer& writer) -> Status {
        writer.exec("UPDATE runs SET outcome = ?, finished = ? WHERE id = ?", std::string(text(outcome)), writer.now(), run);
        return ok();
    });
}

Status SqliteJournal::put_recorded(const std::string& stack, const model::HostState& state) {
    return impl_->write([&](Writer& writer) -> Status {
        writer.add_stack(stack);
        writer.replace_objects(stack, state);
        return ok();
    });
}

Status SqliteJournal::forget_stack(const std::string& stack) {
    return impl_->write([&](Writer& writer) -> Status {
        writer.exec("DELETE FROM stacks WHERE name = ?", stack);
        return ok();
    });
}

Status SqliteJournal::add_event(const std::string& stack, const std::string& kind, const std::string& event) {
    return impl_->write([&](Writer& writer) -> Status {
        writer.exec("INSERT INTO events (at, stack, kind, text) VALUES (?, ?, ?, ?)", writer.now(), stack, kind, event);
        writer.exec("DELETE FROM events WHERE id <= (SELECT max(id) FROM events) - ?", events_kept);
        return ok();
    });
}

}  // namespace ctl::reconcile
