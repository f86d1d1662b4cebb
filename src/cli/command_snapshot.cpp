#include <fmt/format.h>

#include "base/text.h"
#include "cli/find_resource.h"
#include "cli/run.h"
#include "cli/snapshot_commands.h"
#include "cli/table.h"
#include "reconcile/observe.h"
#include "reconcile/snapshots.h"

namespace ctl::cli {

namespace {

struct SnapshotOptions {
    std::string container;
    std::string name;
    RunOptions run;
};

using Prepare = Result<reconcile::Prepared> (*)(const reconcile::Environment&, const reconcile::SnapshotWish&,
                                                std::stop_token);

ExitCode run_with(const SnapshotOptions& options, const GlobalOptions& global, Prepare prepare) {
    return run_plan(options.run, global,
                    [&](const reconcile::Environment& environment, std::stop_token stop) -> Result<reconcile::Prepared> {
                        CTL_ASSIGN(auto container, find_resource(environment.journal, "Container", options.container));
                        return prepare(environment, {std::move(container), options.name}, std::move(stop));
                    });
}

ExitCode list(const std::string& container, const GlobalOptions& global) {
    auto session = Session::open(global);
    if (!session) return fail(session.error());
    const auto resource = find_resource(session->journal(), "Container", container);
    if (!resource) return fail(resource.error());
    const auto observation = reconcile::observe(session->drivers(), {});
    if (!observation) return fail(observation.error());
    Table table({"NAME", "MADE", "EXPIRES"});
    for (const auto& line : reconcile::snapshots_of(observation->state, *resource))
        table.add({escaped(line.name), escaped(line.snapshot.made.value_or("-")),
                   escaped(line.snapshot.expires.value_or("never"))});
    fmt::print("{}", table.str());
    return ExitCode::done;
}

void add_run_choice(CLI::App& command, RunOptions& options) {
    command.add_option("--lock-timeout", options.lock_timeout, "Seconds to wait for another ctl to end")
        ->capture_default_str();
    command.add_option("-o,--output", options.format, "text or json")
        ->check(CLI::IsMember({"text", "json"}))
        ->capture_default_str();
}

void add_list(CLI::App& parent, Program program) {
    CLI::App* command = parent.add_subcommand("list", "List the snapshots of a container, the oldest first");
    auto container = std::make_shared<std::string>();
    command->add_option("container", *container, "Its name")->required();
    command->callback([program, container] { program.exit_code = list(*container, program.options); });
}

void add_delete(CLI::App& parent, Program program) {
    CLI::App* command = parent.add_subcommand("delete", "Delete a snapshot");
    auto options = std::make_shared<SnapshotOptions>();
    command->add_option("container", options->container, "Its name")->required();
    command->add_option("name", options->name, "The snapshot's name")->required();
    command->add_flag("-y,--yes", options->run.yes, "Don't ask");
    add_run_choice(*command, options->run);
    command->callback([program, options] {
        program.exit_code = run_with(*options, program.options, reconcile::prepare_snapshot_removal);
    });
}

}  // namespace

void add_snapshot_command(Program program) {
    CLI::App* command = program.app.add_subcommand(
        "snapshot", "Keep what a container's root disk holds now, while it runs too; list and delete what was kept");
    command->require_subcommand(0, 1);
    auto options = std::make_shared<SnapshotOptions>();
    options->run.yes = true;  // it takes nothing from anyone
    command->add_option("container", options->container, "Its name");
    command->add_option("name", options->name, "The snapshot's name [snap0, snap1, …]");
    add_run_choice(*command, options->run);
    add_list(*command, program);
    add_delete(*command, program);
    command->callback([program, command, options] {
        if (!command->get_subcommands().empty()) return;
        if (options->container.empty()) {
            fmt::print(stderr, "error: snapshot takes the name of a container, or list or delete\n");
            program.exit_code = ExitCode::usage;
            return;
        }
        program.exit_code = run_with(*options, program.options, reconcile::prepare_snapshot);
    });
}

void add_restore_command(Program program) {
    CLI::App* command =
        program.app.add_subcommand("restore", "Put back what a snapshot holds; a container that runs is restarted");
    auto options = std::make_shared<SnapshotOptions>();
    command->add_option("container", options->container, "Its name")->required();
    command->add_option("name", options->name, "The snapshot's name")->required();
    command->add_flag("-y,--yes", options->run.yes, "Don't ask, though what the root disk holds now is lost");
    add_run_choice(*command, options->run);
    command->callback(
        [program, options] { program.exit_code = run_with(*options, program.options, reconcile::prepare_restore); });
}

}  // namespace ctl::cli
