#include <SQLiteCpp/SQLiteCpp.h>
#include <fmt/format.h>
#include <sqlite3.h>

#include <memory>

#include "base/text.h"
#include "reconcile/sqlite_journal.h"
#include "reconcile/sqlite_schema.h"

namespace ctl::reconcile {

namespace {

struct Finalize {
    void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
};
using StatementPtr = std::unique_ptr<sqlite3_stmt, Finalize>;

// SQLiteCpp hides the rest of the text after the first statement, and whether a statement only reads: hence the C interface.
Result<StatementPtr> prepare_reading(sqlite3* handle, const std::string& sql) {
    sqlite3_stmt* raw = nullptr;
    const char* rest = nullptr;
    if (sqlite3_prepare_v2(handle, sql.c_str(), -1, &raw, &rest) != SQLITE_OK)
        return Error(ErrorCode::invalid, fmt::format("the query is not understood: {}", escaped(sqlite3_errmsg(handle))));
    StatementPtr statement(raw);
    if (!statement) return Error(ErrorCode::invalid, "the query is empty").hint("for example: select * from runs");
    if (rest != nullptr && !trimmed(rest).empty())
        return Error(ErrorCode::invalid,
                     fmt::format("only one statement is run, this follows it: {}", ctl::quoted(trimmed(rest))));
    if (sqlite3_stmt_readonly(statement.get()) == 0)
        return Error(ErrorCode::invalid, "the query would write; only reading is allowed").hint("use a select");
    return statement;
}

std::optional<std::string> cell(sqlite3_stmt* statement, int column) {
    const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement, column));
    if (text == nullptr) return std::nullopt;
    return std::string(text, static_cast<std::size_t>(sqlite3_column_bytes(statement, column)));
}

Result<QueryResult> run(SQLite::Database& database, const std::string& sql) {
    sqlite3* handle = database.getHandle();
    sqlite3_limit(handle, SQLITE_LIMIT_ATTACHED, 0);
    CTL_ASSIGN(const StatementPtr statement, prepare_reading(handle, sql));
    QueryResult result;
    const int columns = sqlite3_column_count(statement.get());
    for (int i = 0; i < columns; ++i) result.columns.emplace_back(sqlite3_column_name(statement.get(), i));
    int code = SQLITE_ROW;
    while ((code = sqlite3_step(statement.get())) == SQLITE_ROW) {
        auto& row = result.rows.emplace_back();
        for (int i = 0; i < columns; ++i) row.push_back(cell(statement.get(), i));
    }
    if (code != SQLITE_DONE) return sqlite_error(SQLite::Exception(handle, code), database.getFilename());
    return result;
}

}  // namespace

Result<QueryResult> query_journal(const std::filesystem::path& file, const std::string& sql) {
    std::error_code error;
    if (!std::filesystem::exists(file, error))
        return Error(ErrorCode::not_found, fmt::format("there is no database {}", ctl::quoted(file.string())))
            .hint("nothing was applied with this state directory yet");
    try {
        SQLite::Database database(file.string(), SQLite::OPEN_READONLY, 5000);
        return run(database, sql);
    } catch (const SQLite::Exception& exception) {
        return sqlite_error(exception, file);
    }
}

}  // namespace ctl::reconcile
