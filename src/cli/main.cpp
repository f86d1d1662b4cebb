#include <signal.h>

#include <exception>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/container_commands.h"
#include "cli/snapshot_commands.h"

namespace {

std::string command_line(int argc, char** argv) {
    std::string line = "ctl";
    for (int i = 1; i < argc; ++i) line += " " + ctl::escaped(argv[i]);
    return line;
}

int run(int argc, char** argv) {
    CLI::App app("ctl keeps LXC containers, networks and storage as YAML files declare them", "ctl");
    app.require_subcommand(1);
    app.set_version_flag("--version", CTL_VERSION);

    ctl::cli::GlobalOptions options;
    options.command_line = command_line(argc, argv);
    app.add_option("--state-dir", options.state_dir, "Where ctl keeps its records, images and containers")
        ->capture_default_str();
    app.add_option("--run-dir", options.run_dir, "Where what a reboot empties is kept [/run/ctl]");
    app.add_option("--driver-dir", options.driver_dir, "Where the driver modules are");
    app.add_option("--ovs-db", options.ovs_db, "Open vSwitch's database")->capture_default_str();
    app.add_option("--policy", options.policy,
                   "What manifests may ask of this host [/etc/ctl/policy.yaml, if there is one]");
    app.add_flag("--no-color,--no-colour", options.no_colour, "Never colour the output (NO_COLOR does the same)");
    app.fallthrough();

    ctl::cli::ExitCode exit_code = ctl::cli::ExitCode::done;
    const ctl::cli::Program program{app, options, exit_code};
    ctl::cli::add_validate_command(program);
    ctl::cli::add_plan_command(program);
    ctl::cli::add_apply_command(program);
    ctl::cli::add_delete_command(program);
    ctl::cli::add_get_command(program);
    ctl::cli::add_info_command(program);
    ctl::cli::add_hand_commands(program);
    ctl::cli::add_exec_command(program);
    ctl::cli::add_console_command(program);
    ctl::cli::add_logs_command(program);
    ctl::cli::add_cp_command(program);
    ctl::cli::add_top_command(program);
    ctl::cli::add_snapshot_command(program);
    ctl::cli::add_restore_command(program);
    ctl::cli::add_image_command(program);
    ctl::cli::add_describe_command(program);
    ctl::cli::add_graph_command(program);
    ctl::cli::add_watch_command(program);
    ctl::cli::add_observe_command(program);
    ctl::cli::add_sandbox_command(program);
    ctl::cli::add_drivers_command(program);
    ctl::cli::add_sql_command(program);
    ctl::cli::add_state_command(program);
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? 0 : static_cast<int>(ctl::cli::ExitCode::usage);
    }
    return static_cast<int>(exit_code);
}

}  // namespace

int main(int argc, char** argv) {
    // A reader that goes away (ctl get | head) and a database that does are errors to be handled, not deaths.
    ::signal(SIGPIPE, SIG_IGN);
    try {
        return run(argc, argv);
    } catch (const std::exception& error) {
        fmt::print(stderr, "error: {}\n", ctl::escaped(error.what()));
        return static_cast<int>(ctl::cli::ExitCode::failed);
    }
}
