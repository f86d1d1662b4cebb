#include "cli/commands.h"
#include "cli/manifests.h"
#include "cli/run.h"

namespace ctl::cli {

namespace {

struct ApplyCommandOptions {
    std::vector<std::filesystem::path> files;
    RunOptions run;
};

ExitCode apply(const ApplyCommandOptions& options, const GlobalOptions& global) {
    const auto stack = require_stack(options.files, global, PolicyUse::enforced);
    if (!stack) return ExitCode::invalid;
    return run_plan(options.run, global, [&](const reconcile::Environment& environment, std::stop_token stop) {
        return reconcile::prepare(environment, *stack, options.run.planning.to_prepare_options(), std::move(stop));
    });
}

}  // namespace

void add_apply_command(Program program) {
    CLI::App* command = program.app.add_subcommand("apply", "Make the host as the manifests declare");
    auto options = std::make_shared<ApplyCommandOptions>();
    add_file_option(*command, options->files)->required();
    add_run_options(*command, options->run);
    command->callback([program, options] { program.exit_code = apply(*options, program.options); });
}

}  // namespace ctl::cli
