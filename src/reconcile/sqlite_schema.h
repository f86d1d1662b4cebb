#pragma once

#include <chrono>
#include <filesystem>
#include <memory>

#include "base/result.h"

namespace SQLite {
class Database;
class Exception;
}  // namespace SQLite

namespace ctl::reconcile {

/// The version that migrate() brings a database to.
[[nodiscard]] int newest_schema();

/// A connection with the settings every one of ours has. Makes the file (mode 0600) when there is none.
[[nodiscard]] Result<std::unique_ptr<SQLite::Database>> open_database(const std::filesystem::path& file,
                                                                      std::chrono::milliseconds busy_timeout);

/// Runs the numbered migrations the database hasn't had, up to `version`, each in a transaction of its own. `invalid` when
/// the database is not ours or newer than this ctl.
[[nodiscard]] Status migrate(SQLite::Database& database, int version = newest_schema());

/// What SQLite said, as one of our errors.
[[nodiscard]] Error sqlite_error(const SQLite::Exception& exception, const std::filesystem::path& file);

}  // namespace ctl::reconcile
