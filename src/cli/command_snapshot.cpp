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
    std::string owner;
    std::string name;
    std::string expires;
    RunOptions run;
};

using Prepare = Result<reconcile::Prepared> (*)(const reconcile::Environment&, const reconcile::SnapshotWish&,
                                                std::stop_token);

/// NAME is a container, POOL/NAME a custom volume. It may be deleted, as long as snapshots of it are there.
Result<model::ResourceRef> find_owner(reconcile::Journal& journal, const reconcile::DriverSet& drivers,
                                      const std::string& name) {
    const std::string kind = name.find('/') == std::string::npos ? "Container" : "Volume";
    auto applied = find_resource(journal, kind, name);
    if (applied) return applied;
    CTL_ASSIGN(const auto observation, reconcile::observe(drivers, {}));
    if (const auto deleted = reconcile::owner_of_snapshots(observation.state, kind, name)) return *deleted;
    return applied;
}

ExitCode run_with(const SnapshotOptions& options, const GlobalOptions& global, Prepare prepare) {
    const auto expiry = model::Expiry::parse(options.expires);
    if (!options.expires.empty() && !expiry) {
        fmt::print(stderr, "error: {} is not a time to keep something: write one such as 1w 12H\n",
                   ctl::quoted(options.expires));
        return ExitCode::usage;
    }
    return run_plan(options.run, global,
                    [&](const reconcile::Environment& environment, std::stop_token stop) -> Result<reconcile::Prepared> {
                        reconcile::SnapshotWish wish;
                        CTL_ASSIGN(wish.owner, find_owner(environment.journal, environment.drivers, options.owner));
                        wish.name = options.name;
                        wish.expiry = expiry;
                        return prepare(environment, wish, std::move(stop));
                    });
}

ExitCode list(const std::string& owner, const GlobalOptions& global) {
    auto session = Session::open(global);
    if (!session) return fail(session.error());
    const auto resource = find_owner(session->journal(), session->drivers(), owner);
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

void add_list(CLI::App& parent, Program program) {
    CLI::App* command = parent.add_subcommand("list", "List the snapshots of a container or volume, the oldest first");
    auto owner = std::make_shared<std::string>();
    command->add_option("owner", *owner, "The container, or POOL/NAME of a custom volume")->required();
    command->callback([program, owner] { program.exit_code = list(*owner, program.options); });
}

void add_delete(CLI::App& parent, Program program) {
    CLI::App* command = parent.add_subcommand("delete", "Delete a snapshot");
    auto options = std::make_shared<SnapshotOptions>();
    command->add_option("owner", options->owner, "The container, or POOL/NAME of a custom volume")->required();
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
        "snapshot", "Keep what a container's root disk or a custom volume holds now; list and delete what was kept");
    command->require_subcommand(0, 1);
    auto options = std::make_shared<SnapshotOptions>();
    options->run.yes = true;  // it takes nothing from anyone
    command->add_option("owner", options->owner, "The container, or POOL/NAME of a custom volume");
    command->add_option("name", options->name, "The snapshot's name [snap0, snap1, …]");
    command->add_option("--expires", options->expires,
                        "How long ctl watch keeps it: 1w 12H, of M, H, d, w, m, y [for ever]");
    add_run_choice(*command, options->run);
    add_list(*command, program);
    add_delete(*command, program);
    command->callback([program, command, options] {
        if (!command->get_subcommands().empty()) return;
        if (options->owner.empty()) {
            fmt::print(stderr, "error: snapshot takes the name of a container or volume, or list or delete\n");
            program.exit_code = ExitCode::usage;
            return;
        }
        program.exit_code = run_with(*options, program.options, reconcile::prepare_snapshot);
    });
}

void add_restore_command(Program program) {
    CLI::App* command =
        program.app.add_subcommand("restore",
                                   "Put back what a snapshot or a deleted volume holds; a container that runs is "
                                   "restarted");
    auto options = std::make_shared<SnapshotOptions>();
    command->add_option("owner", options->owner, "The container, or POOL/NAME of a custom volume")->required();
    command->add_option("name", options->name, "The snapshot's name [what was deleted last]");
    command->add_flag("-y,--yes", options->run.yes, "Don't ask, though what the root disk holds now is lost");
    add_run_choice(*command, options->run);
    command->callback(
        [program, options] { program.exit_code = run_with(*options, program.options, reconcile::prepare_restore); });
}

}  // namespace ctl::cli
