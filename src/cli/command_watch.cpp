#include <fmt/format.h>
#ifdef CTL_HAS_MIMALLOC
#include <mimalloc.h>
#endif

#include "cli/commands.h"
#include "cli/manifests.h"
#include "cli/planning.h"
#include "cli/progress.h"
#include "cli/terminal.h"
#include "reconcile/watch.h"

namespace ctl::cli {

namespace {

struct WatchCommandOptions {
    std::filesystem::path folder;
    PlanningOptions planning;
    bool yes = false;
    unsigned parallelism = 0;
};

/// What is freed goes back to the kernel at once, which costs a little time: a watch is at rest for most of its life.
void prefer_memory_to_time() {
#ifdef CTL_HAS_MIMALLOC
    ::mi_option_set(mi_option_decommit_delay, 0);
#endif
}

ExitCode watch(const WatchCommandOptions& options, const GlobalOptions& global) {
    prefer_memory_to_time();
    const Interrupt interrupt;
    auto session = Session::open_writable(global);
    if (!session) return fail(session.error());
    reconcile::WatchOptions watch_options;
    watch_options.folder = options.folder;
    watch_options.state_dir = session->layout().state_dir;
    watch_options.command = global.command_line;
    watch_options.allow_data_loss = options.yes;
    watch_options.allow_empty = options.planning.allow_empty;
    watch_options.on_restart_needed = options.planning.to_prepare_options().on_restart_needed;
    watch_options.execute.parallelism = options.parallelism;
    const auto load = [&](Diagnostics& diagnostics) {
        model::resource::Stack stack = load_stack({options.folder}, global, PolicyUse::enforced, diagnostics);
        print_diagnostics(diagnostics, global);
        return stack;
    };
    const auto reporter = make_progress({.terminal = false, .quiet = false, .colour = false});
    const auto outcome = reconcile::watch(session->environment(*reporter), watch_options, load, interrupt.fd());
    return outcome ? ExitCode::done : fail(outcome.error());
}

}  // namespace

void add_watch_command(Program program) {
    CLI::App* command =
        program.app.add_subcommand("watch", "Keep the host as a folder of manifests declares, until stopped");
    auto options = std::make_shared<WatchCommandOptions>();
    command->add_option("folder", options->folder, "Folder of manifests; all of it is one stack")->required();
    add_planning_options(*command, options->planning);
    command->add_flag("-y,--yes", options->yes, "Containers and volumes may be deleted and replaced");
    command->add_option("--parallelism", options->parallelism, "Steps in flight at most [as many as the drivers take]");
    command->callback([program, options] { program.exit_code = watch(*options, program.options); });
}

}  // namespace ctl::cli
