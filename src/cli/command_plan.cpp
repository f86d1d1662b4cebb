#include <unistd.h>

#include <fmt/format.h>

#include "base/file.h"
#include "cli/commands.h"
#include "cli/manifests.h"
#include "cli/planning.h"
#include "cli/terminal.h"
#include "model/state_json.h"
#include "reconcile/lock.h"

namespace ctl::cli {

namespace {

struct PlanOptions {
    std::vector<std::filesystem::path> files;
    PlanningOptions planning;
    std::string host_state;
    std::string format = "text";
    bool detailed_exitcode = false;
};

/// A session whose host and record are what a file says.
Result<Session> described_session(const GlobalOptions& global, const std::string& stack, const model::HostState& host) {
    CTL_ASSIGN(Session session, Session::offline(global));
    model::HostState recorded;
    for (const auto& [id, entry] : host) {
        if (entry.mark == model::Mark::none || entry.owner.stack != stack) continue;
        // Marks tell whose an object is, not which of its fields were set by us: none is taken for ours.
        model::Entry record = entry;
        record.object = model::make_object(id.kind);
        recorded.emplace(id, std::move(record));
    }
    CTL_TRY(session.journal().put_recorded(stack, recorded));
    return session;
}

/// What would keep this host from taking the plan now: a privilege, a kernel feature, space, a path. A plan shows it and is
/// one all the same; apply refuses it.
void note_refusals(const std::vector<Error>& refusals, reconcile::Plan& plan) {
    for (const auto& error : refusals)
        plan.notes.warning("preflight", "apply would be refused: " + error.str(), error.where());
}

/// What a run that is still going has begun looks the same as what an interrupted one left.
void note_holder(const GlobalOptions& global, reconcile::Plan& plan) {
    if (const auto holder = reconcile::Lock::holder(global.state_dir))
        plan.notes.warning("busy", fmt::format("another ctl is changing this host: {}", *holder), {},
                           "plan again when it is done: what it is in the middle of counts as interrupted here");
}

Result<reconcile::Prepared> prepare_plan(const PlanOptions& options, const GlobalOptions& global,
                                         const model::resource::Stack& stack) {
    reconcile::SilentReporter silent;
    auto prepare_options = options.planning.to_prepare_options();
    if (options.host_state.empty()) {
        CTL_ASSIGN(Session session, Session::open(global));
        const auto environment = session.environment(silent);
        CTL_ASSIGN(auto prepared, reconcile::prepare(environment, stack, prepare_options));
        note_holder(global, prepared.plan);
        if (prepared.is_applicable()) note_refusals(reconcile::preflight(environment, prepared.plan), prepared.plan);
        return prepared;
    }
    CTL_ASSIGN(const std::string text, read_file(options.host_state));
    CTL_ASSIGN(model::HostState host, model::state_from_json(text));
    CTL_ASSIGN(Session session, described_session(global, stack.name, host));
    prepare_options.host_state = std::move(host);
    return reconcile::prepare(session.environment(silent), stack, prepare_options);
}

ExitCode plan(const PlanOptions& options, const GlobalOptions& global) {
    const auto stack = require_stack(options.files, global, PolicyUse::enforced);
    if (!stack) return ExitCode::invalid;
    const auto prepared = prepare_plan(options, global, *stack);
    if (!prepared) return fail(prepared.error());
    print_diagnostics(prepared->diagnostics, global);
    if (!prepared->is_applicable()) return exit_code_for(prepared->diagnostics);
    if (options.format == "json") fmt::print("{}\n", reconcile::to_json(prepared->plan));
    else fmt::print("{}", reconcile::to_text(prepared->plan, {.colour = wants_colour(global, STDOUT_FILENO)}));
    return options.detailed_exitcode && !prepared->plan.empty() ? ExitCode::changes_pending : ExitCode::done;
}

}  // namespace

void add_plan_command(Program program) {
    CLI::App* command = program.app.add_subcommand("plan", "Show what apply would change, why, and what it costs");
    auto options = std::make_shared<PlanOptions>();
    add_file_option(*command, options->files)->required();
    add_planning_options(*command, options->planning);
    command->add_option("--host-state", options->host_state, "Plan against a host described by ctl observe, not this one");
    command->add_option("-o,--output", options->format, "text or json")
        ->check(CLI::IsMember({"text", "json"}))
        ->capture_default_str();
    command->add_flag("--detailed-exitcode", options->detailed_exitcode, "End with 2 when there is something to change");
    command->callback([program, options] { program.exit_code = plan(*options, program.options); });
}

}  // namespace ctl::cli
