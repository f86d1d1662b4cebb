#include "cli/run.h"

#include <unistd.h>

#include <fmt/format.h>

#include "cli/progress.h"
#include "cli/run_output.h"

namespace ctl::cli {

namespace {

/// Whether the person agrees, or has said so already. On a terminal we always ask, as Terraform does; elsewhere only what
/// would lose data needs a --yes.
bool is_agreed(const RunOptions& options, const reconcile::Plan& plan) {
    if (options.yes) return true;
    if (::isatty(STDIN_FILENO) != 0) return confirm("Apply this plan?");
    return !reconcile::needs_confirmation(plan);
}

ExitCode roll_back(Session& session, reconcile::Reporter& reporter, const reconcile::Prepared& before,
                   const reconcile::ApplyOptions& options) {
    fmt::print(stderr, "rolling back\n");
    const auto environment = session.environment(reporter);
    const auto undo = reconcile::prepare_undo(environment, before);
    if (!undo) return fail(undo.error());
    const auto report = reconcile::apply(environment, *undo, options);
    if (!report) return fail(report.error());
    print_failures(undo->plan, *report);
    return report->succeeded() ? ExitCode::rolled_back : ExitCode::partial;
}

}  // namespace

void add_run_choice(CLI::App& command, RunOptions& options) {
    command.add_option("--lock-timeout", options.lock_timeout, "Seconds to wait for another ctl to end")
        ->capture_default_str();
    command.add_option("-o,--output", options.format, "text or json")
        ->check(CLI::IsMember({"text", "json"}))
        ->capture_default_str();
}

void add_run_options(CLI::App& command, RunOptions& options) {
    add_planning_options(command, options.planning);
    command.add_flag("-y,--yes", options.yes, "Don't ask, even if data is deleted");
    command.add_option("--parallelism", options.parallelism, "Steps in flight at most [as many as the drivers take]");
    command.add_option("--on-failure", options.on_failure, "keep what was done, or rollback")
        ->check(CLI::IsMember({"keep", "rollback"}))
        ->capture_default_str();
    add_run_choice(command, options);
}

ExitCode run_plan(const RunOptions& options, const GlobalOptions& global, const MakePlan& make_plan) {
    const Interrupt interrupt;
    auto session = Session::open_exclusive(global, options.lock_timeout);
    if (!session) return fail(session.error());

    const bool json = options.format == "json";
    const auto reporter = make_progress(
        {.terminal = !json && ::isatty(STDOUT_FILENO) != 0, .quiet = json, .colour = wants_colour(global, STDOUT_FILENO)});
    const auto environment = session->environment(*reporter);
    const auto prepared = make_plan(environment, interrupt.token());
    if (!prepared) return fail(prepared.error());
    print_diagnostics(prepared->diagnostics, global);
    if (!prepared->is_applicable()) return exit_code_for(prepared->diagnostics);
    if (!json) fmt::print("{}", reconcile::to_text(prepared->plan, {.colour = wants_colour(global, STDOUT_FILENO)}));
    if (!prepared->plan.empty() && !is_agreed(options, prepared->plan))
        return fail(Error(ErrorCode::policy, "nothing was changed: the plan was not confirmed")
                        .hint("use --yes to apply it without a question"));
    std::fflush(stdout);

    const reconcile::ApplyOptions apply_options{.command = global.command_line,
                                                .execute = {.parallelism = options.parallelism}};
    const auto report = reconcile::apply(environment, *prepared, apply_options, interrupt.token());
    if (!report) return fail(report.error());
    if (json) fmt::print("{}\n", run_to_json(prepared->plan, *report));
    else if (!prepared->plan.empty()) fmt::print("{}", run_to_text(prepared->plan, *report));
    print_failures(prepared->plan, *report);
    if (!report->succeeded() && !report->stopped && report->refused.empty() && options.on_failure == "rollback")
        return roll_back(*session, *reporter, *prepared, apply_options);
    return exit_code_for(*report);
}

}  // namespace ctl::cli
