#pragma once

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "reconcile/clock.h"
#include "reconcile/journal.h"

namespace ctl::reconcile {

/// The journal in one SQLite file: WAL, synchronous=FULL, every writing transaction IMMEDIATE.
class SqliteJournal final : public Journal {
public:
    /// Opens or makes the database (mode 0600) and brings it to this version's schema. ":memory:" is a private one for tests
    /// and for planning without a state directory. `busy_timeout` is how long to wait for another process.
    [[nodiscard]] static Result<std::unique_ptr<SqliteJournal>> open(
        const std::filesystem::path& file, Clock& clock, std::chrono::milliseconds busy_timeout = std::chrono::seconds(5));
    ~SqliteJournal() override;

    Result<std::vector<StackInfo>> stacks() override;
    Result<model::HostState> recorded(const std::string& stack) override;
    Result<model::HostState> others(const std::string& stack) override;
    Result<model::Allocations> allocations(const std::string& stack) override;
    Result<model::Allocations> taken(const std::string& stack) override;
    Result<std::vector<DeclaredResource>> resources(const std::string& stack) override;
    Result<std::vector<UnfinishedStep>> unfinished() override;
    Result<RunId> begin_run(const RunStart& start, const Plan& plan, const model::HostState& wanted) override;
    Status intend(RunId run, std::span<const std::size_t> steps) override;
    Status conclude(RunId run, std::span<const StepResult> results) override;
    Status finish_run(RunId run, RunOutcome outcome) override;
    Status put_recorded(const std::string& stack, const model::HostState& state) override;
    Status forget_stack(const std::string& stack) override;
    Status add_event(const std::string& stack, const std::string& kind, const std::string& text) override;

private:
    class Impl;
    explicit SqliteJournal(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

/// Rows of a query; NULL is an empty optional.
struct QueryResult {
    std::vector<std::string> columns;
    std::vector<std::vector<std::optional<std::string>>> rows;
};

/// Runs one SQL statement on a journal's file, opened read-only. Errors: `invalid` for what doesn't parse or would write,
/// not_found when there is no database.
[[nodiscard]] Result<QueryResult> query_journal(const std::filesystem::path& file, const std::string& sql);

}  // namespace ctl::reconcile
