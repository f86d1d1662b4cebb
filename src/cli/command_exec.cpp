#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include <fmt/format.h>

#include "base/text.h"
#include "cli/container_commands.h"
#include "cli/directories.h"
#include "cli/terminal.h"
#include "drivers/api/container_files.h"

namespace ctl::cli {

namespace {

struct ExecOptions {
    std::string container;
    std::string user;
    std::string directory;
    std::vector<std::string> environment;
    bool terminal = false;
    bool no_terminal = false;
    std::vector<std::string> command;
};

/// Not an exit code of ours: what the helper ends with when the container, not the command, is at fault.
ExitCode not_entered(const Error& error) {
    fail(error);
    return ExitCode{125};
}

/// Becomes the program that enters containers: so the terminal, signals and the exit code are the command's own, with
/// nobody in between.
ExitCode become_helper(const std::string& verb, const std::string& container, const GlobalOptions& global,
                       const std::vector<std::string>& more) {
    const drivers::ContainerFiles paths{state_dir_of(global) + "/containers", run_dir_of(global), library_dir().native()};
    if (!drivers::is_container_name(container))
        return not_entered(Error(ErrorCode::invalid, fmt::format("{} can't be a container's name", ctl::quoted(container))));
    if (::geteuid() != 0)
        return not_entered(Error(ErrorCode::permission, "entering a container needs root").hint("run it with sudo"));
    std::vector<std::string> words{paths.enter_helper(), verb, container, paths.lxcpath, paths.started(container)};
    words.insert(words.end(), more.begin(), more.end());
    std::vector<char*> argv;
    for (auto& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    ::execv(argv.front(), argv.data());
    return not_entered(system_error(errno, fmt::format("run {}", words.front())));
}

bool is_at_terminal() { return ::isatty(STDIN_FILENO) != 0 && ::isatty(STDOUT_FILENO) != 0; }

ExitCode exec(const ExecOptions& options, const GlobalOptions& global) {
    for (const auto& pair : options.environment)
        if (pair.find('=') == std::string::npos || pair.starts_with('='))
            return not_entered(Error(ErrorCode::invalid, fmt::format("{} is not NAME=VALUE", ctl::quoted(pair))));
    const bool terminal = options.terminal || (!options.no_terminal && is_at_terminal());
    std::vector<std::string> more{terminal ? "terminal" : "pipes", options.user, options.directory};
    more.insert(more.end(), options.environment.begin(), options.environment.end());
    more.emplace_back("--");
    more.insert(more.end(), options.command.begin(), options.command.end());
    return become_helper("exec", options.container, global, more);
}

}  // namespace

void add_exec_command(Program program) {
    CLI::App* command = program.app.add_subcommand("exec", "Run a command in a running container");
    auto options = std::make_shared<ExecOptions>();
    command->add_option("container", options->container, "Its name")->required();
    command->add_option("-u,--user", options->user, "Whom to run as: a name the container knows, or UID[:GID] [root]");
    command->add_option("--cwd", options->directory, "Where to run [the user's home]");
    // One value each, or it would swallow the command.
    command->add_option("-e,--env", options->environment, "A variable to set, NAME=VALUE; may be given again")
        ->allow_extra_args(false);
    CLI::Option* terminal =
        command->add_flag("-t,--terminal", options->terminal, "With a terminal in the container [if this is run at one]");
    command->add_flag("-T,--no-terminal", options->no_terminal, "Without one")->excludes(terminal);
    command->add_option("command", options->command, "The command and its arguments, after --")->required();
    command->callback([program, options] { program.exit_code = exec(*options, program.options); });
}

void add_console_command(Program program) {
    CLI::App* command = program.app.add_subcommand("console", "Join a container's console; Ctrl-A Q leaves it");
    auto container = std::make_shared<std::string>();
    command->add_option("container", *container, "Its name")->required();
    command->callback(
        [program, container] { program.exit_code = become_helper("console", *container, program.options, {}); });
}

}  // namespace ctl::cli
