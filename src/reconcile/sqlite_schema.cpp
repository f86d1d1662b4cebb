#include "reconcile/sqlite_schema.h"

#include <SQLiteCpp/SQLiteCpp.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sqlite3.h>

#include <array>
#include <cerrno>

#include "base/fd.h"
#include "base/text.h"

namespace ctl::reconcile {

namespace {

// "ctlj": says whose file it is, before anything in it is believed.
constexpr int application_id = 0x63746c6a;

// A migration is never edited once released; a change of the schema is a new one. docs/reference/state.md describes the
// tables.
constexpr std::array migrations{
    R"sql(
CREATE TABLE stacks (name TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE resources (
    stack TEXT NOT NULL REFERENCES stacks(name) ON DELETE CASCADE,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    declared_at TEXT NOT NULL,
    PRIMARY KEY (stack, kind, name)
) WITHOUT ROWID;
CREATE TABLE objects (
    stack TEXT NOT NULL REFERENCES stacks(name) ON DELETE CASCADE,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    owner_kind TEXT NOT NULL,
    owner_name TEXT NOT NULL,
    entry TEXT NOT NULL,
    PRIMARY KEY (stack, kind, name)
);
CREATE TABLE allocations (
    stack TEXT NOT NULL REFERENCES stacks(name) ON DELETE CASCADE,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (stack, key)
) WITHOUT ROWID;
)sql",
    R"sql(
CREATE TABLE runs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    stack TEXT NOT NULL,
    command TEXT NOT NULL,
    pid INTEGER NOT NULL,
    started TEXT NOT NULL,
    finished TEXT,
    outcome TEXT NOT NULL CHECK (outcome IN ('running', 'done', 'failed', 'stopped', 'interrupted'))
);
CREATE INDEX runs_by_stack ON runs (stack, id);
CREATE TABLE steps (
    run INTEGER NOT NULL REFERENCES runs(id) ON DELETE CASCADE,
    step INTEGER NOT NULL,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    verb TEXT NOT NULL,
    reason TEXT NOT NULL,
    desired TEXT,
    state TEXT NOT NULL CHECK (state IN ('planned', 'started', 'done', 'failed', 'unknown')),
    started TEXT,
    finished TEXT,
    error TEXT,
    PRIMARY KEY (run, step)
);
CREATE TABLE events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at TEXT NOT NULL,
    stack TEXT NOT NULL,
    kind TEXT NOT NULL,
    text TEXT NOT NULL
);
)sql",
    "ALTER TABLE resources ADD COLUMN profiles TEXT NOT NULL DEFAULT '';",
};

int pragma(SQLite::Database& database, const char* name) {
    return database.execAndGet(fmt::format("PRAGMA {}", name)).getInt();
}

bool has_tables(SQLite::Database& database) {
    return database.execAndGet("SELECT count(*) FROM sqlite_master WHERE type = 'table'").getInt() != 0;
}

/// SQLite would make the file readable for all; it gives the WAL the same mode.
Status make_private(const std::filesystem::path& file) {
    const Fd made(::open(file.c_str(), O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!made && errno != EEXIST) return system_error(errno, fmt::format("making {}", ctl::quoted(file.string())));
    return ok();
}

Error foreign_database(const SQLite::Database& database) {
    return Error(ErrorCode::invalid, fmt::format("{} is not a database of ctl", ctl::quoted(database.getFilename())))
        .hint("move it aside, then run `ctl state rebuild`");
}

}  // namespace

int newest_schema() { return static_cast<int>(migrations.size()); }

Result<std::unique_ptr<SQLite::Database>> open_database(const std::filesystem::path& file,
                                                        std::chrono::milliseconds busy_timeout) {
    if (file != ":memory:") CTL_TRY(make_private(file));
    try {
        auto database = std::make_unique<SQLite::Database>(
            file.string(), SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE | SQLite::OPEN_NOMUTEX,
            static_cast<int>(busy_timeout.count()));
        database->exec("PRAGMA journal_mode = WAL");
        database->exec("PRAGMA synchronous = FULL");
        database->exec("PRAGMA foreign_keys = ON");
        return database;
    } catch (const SQLite::Exception& exception) {
        return sqlite_error(exception, file);
    }
}

Status migrate(SQLite::Database& database, int version) {
    try {
        for (;;) {
            SQLite::Transaction transaction(database, SQLite::TransactionBehavior::IMMEDIATE);
            const int has = pragma(database, "user_version");
            const bool ours = pragma(database, "application_id") == application_id;
            if (!ours && (has != 0 || has_tables(database))) return foreign_database(database);
            if (has > newest_schema())
                return Error(ErrorCode::invalid,
                             fmt::format("{} was written by a newer ctl: its schema is {}, this ctl knows {}",
                                         ctl::quoted(database.getFilename()), has, newest_schema()))
                    .hint("use that ctl");
            if (has >= version) return ok();
            database.exec(migrations.at(static_cast<std::size_t>(has)));
            database.exec(fmt::format("PRAGMA application_id = {}; PRAGMA user_version = {}", application_id, has + 1));
            transaction.commit();
        }
    } catch (const SQLite::Exception& exception) {
        return sqlite_error(exception, database.getFilename());
    }
}

Error sqlite_error(const SQLite::Exception& exception, const std::filesystem::path& file) {
    const auto name = ctl::quoted(file.string());
    switch (exception.getErrorCode()) {
        case SQLITE_BUSY:
        case SQLITE_LOCKED:
            return Error(ErrorCode::locked, fmt::format("{} is kept busy by another process", name)).hint("try again");
        case SQLITE_CORRUPT:
        case SQLITE_NOTADB:
            return Error(ErrorCode::invalid, fmt::format("{} is damaged: {}", name, escaped(exception.what())))
                .hint("move it aside, then run `ctl state rebuild`");
        case SQLITE_FULL: return {ErrorCode::no_space, fmt::format("no space left to write {}", name)};
        case SQLITE_READONLY:
        case SQLITE_PERM:
        case SQLITE_AUTH: return {ErrorCode::permission, fmt::format("{} can't be written: {}", name, exception.what())};
        default: return {ErrorCode::io, fmt::format("{}: {}", name, escaped(exception.what()))};
    }
}

}  // namespace ctl::reconcile
