#include "cli/commands.h"
#include "cli/sandbox/sandbox.h"
#include "cli/terminal.h"

namespace ctl::cli {

namespace {

struct SandboxCommandOptions {
    std::string keep_state;
    bool open_vswitch = false;
    std::vector<std::string> argv;
};

ExitCode sandbox(const SandboxCommandOptions& options) {
    SandboxOptions sandbox_options;
    if (!options.keep_state.empty()) sandbox_options.keep_state = options.keep_state;
    sandbox_options.open_vswitch = options.open_vswitch;
    const auto exit_code = run_in_sandbox(sandbox_options, options.argv);
    return exit_code ? static_cast<ExitCode>(*exit_code) : fail(exit_code.error());
}

}  // namespace

void add_sandbox_command(Program program) {
    CLI::App* command = program.app.add_subcommand("sandbox", "Run a command in a throwaway host on the real kernel");
    auto options = std::make_shared<SandboxCommandOptions>();
    command->add_option("--keep-state", options->keep_state,
                        "A folder that becomes /var/lib/ctl inside and stays afterwards");
    command->add_flag("--open-vswitch", options->open_vswitch, "With an ovsdb-server and an ovs-vswitchd of its own");
    command->add_option("command", options->argv, "The command and its arguments, after --")->required();
    command->callback([program, options] { program.exit_code = sandbox(*options); });
}

}  // namespace ctl::cli
