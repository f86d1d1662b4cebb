#include <unistd.h>

#include <map>
#include <set>

#include <fmt/format.h>

#include "cli/container_commands.h"
#include "cli/find_resource.h"
#include "cli/progress.h"
#include "cli/run_output.h"
#include "cli/terminal.h"
#include "reconcile/by_hand.h"

namespace ctl::cli {

namespace {

using model::ContainerState;
using reconcile::ByHand;

struct HandOptions {
    std::vector<std::string> containers;
    long timeout = -1;  ///< seconds; less than 0: as the container has it
    bool force = false;
    long lock_timeout = 10;

    [[nodiscard]] std::optional<std::chrono::seconds> patience() const {
        if (force) return std::chrono::seconds(0);
        return timeout < 0 ? std::nullopt : std::optional(std::chrono::seconds(timeout));
    }
};

struct HandCommand {
    const char* name;
    const char* description;
    std::vector<ContainerState> states;  ///< one after the other; the last is to stay
    bool starts = true;                  ///< see ByHand
};

/// The containers by the stacks that applied them: each stack has a run of its own.
Result<std::map<std::string, std::set<std::string>>> by_stack(reconcile::Journal& journal,
                                                              const std::vector<std::string>& containers) {
    std::map<std::string, std::set<std::string>> stacks;
    for (const auto& name : containers) {
        CTL_ASSIGN(const auto resource, find_resource(journal, "Container", name));
        stacks[resource.stack].insert(name);
    }
    return stacks;
}

ExitCode bring(const reconcile::Environment& environment, const std::string& stack, const ByHand& wish,
               const GlobalOptions& global, std::stop_token stop) {
    const auto prepared = reconcile::prepare_by_hand(environment, stack, wish, stop);
    if (!prepared) return fail(prepared.error());
    print_diagnostics(prepared->diagnostics, global);
    if (!prepared->is_applicable()) return exit_code_for(prepared->diagnostics);
    const auto report = reconcile::apply(environment, *prepared, {.command = global.command_line, .execute = {}}, stop);
    if (!report) return fail(report.error());
    print_failures(prepared->plan, *report);
    return exit_code_for(*report);
}

ExitCode bring_all(const HandOptions& options, const GlobalOptions& global, const HandCommand& hand) {
    const Interrupt interrupt;
    auto session = Session::open_exclusive(global, std::chrono::seconds(options.lock_timeout));
    if (!session) return fail(session.error());
    const auto stacks = by_stack(session->journal(), options.containers);
    if (!stacks) return fail(stacks.error());
    const auto reporter = make_progress(
        {.terminal = ::isatty(STDOUT_FILENO) != 0, .quiet = false, .colour = wants_colour(global, STDOUT_FILENO)});
    const auto environment = session->environment(*reporter);
    ExitCode worst = ExitCode::done;
    for (const auto state : hand.states) {
        const bool stays = state == hand.states.back();
        for (const auto& [stack, containers] : *stacks) {
            const ByHand wish{.containers = containers,
                              .state = state,
                              .patience = options.patience(),
                              .starts = hand.starts,
                              .stays = stays};
            const ExitCode exit_code = bring(environment, stack, wish, global, interrupt.token());
            if (exit_code != ExitCode::done) worst = exit_code;
        }
        if (worst != ExitCode::done) break;
    }
    return worst;
}

void add(Program program, const HandCommand& hand) {
    CLI::App* command = program.app.add_subcommand(hand.name, hand.description);
    auto options = std::make_shared<HandOptions>();
    command->add_option("containers", options->containers, "Their names")->required();
    if (hand.states.front() == ContainerState::stopped) {
        CLI::Option* force = command->add_flag("--force", options->force, "Kill it at once");
        command
            ->add_option("--timeout", options->timeout, "Seconds it has to shut down before it is killed [its own, or 10]")
            ->check(CLI::Range(0L, 86400L))
            ->excludes(force);
    }
    command->add_option("--lock-timeout", options->lock_timeout, "Seconds to wait for another ctl to end")
        ->capture_default_str();
    command->callback([program, options, hand] { program.exit_code = bring_all(*options, program.options, hand); });
}

}  // namespace

void add_hand_commands(Program program) {
    using enum ContainerState;
    add(program, {"start", "Start containers, with all they stand on, as they were last applied", {running}});
    add(program, {"stop", "Stop containers; apply and watch leave them so until ctl start", {stopped}});
    add(program, {"restart", "Stop containers and start them again", {stopped, running}});
    add(program, {"freeze", "Freeze the processes of containers; apply and watch leave them so", {frozen}});
    add(program, {"unfreeze", "Let frozen containers go on", {running}, false});
}

}  // namespace ctl::cli
