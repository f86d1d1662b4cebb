#include <fmt/format.h>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/table.h"
#include "cli/terminal.h"
#include "reconcile/sqlite_journal.h"

namespace ctl::cli {

namespace {

ExitCode sql(const std::string& statement, const GlobalOptions& global) {
    const auto result = reconcile::query_journal(journal_file(global), statement);
    if (!result) return fail(result.error());
    Table table(result->columns);
    for (const auto& row : result->rows) {
        std::vector<std::string> cells;
        for (const auto& cell : row) cells.push_back(cell ? escaped(*cell) : "NULL");
        table.add(std::move(cells));
    }
    if (!result->columns.empty()) fmt::print("{}", table.str());
    return ExitCode::done;
}

}  // namespace

void add_sql_command(Program program) {
    CLI::App* command = program.app.add_subcommand("sql", "Ask ctl's records, read-only, in SQL");
    auto statement = std::make_shared<std::string>();
    command->add_option("statement", *statement, "For example: select stack, count(*) from objects group by stack")
        ->required();
    command->callback([program, statement] { program.exit_code = sql(*statement, program.options); });
}

}  // namespace ctl::cli
