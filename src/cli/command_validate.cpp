#include <fmt/format.h>

#include "cli/commands.h"
#include "cli/diagnostics_output.h"
#include "cli/manifests.h"
#include "cli/terminal.h"

namespace ctl::cli {

namespace {

struct ValidateOptions {
    std::vector<std::filesystem::path> files;
    std::string format = "text";
};

ExitCode validate(const ValidateOptions& options, const GlobalOptions& global) {
    Diagnostics diagnostics;
    const model::resource::Stack stack = load_stack(options.files, global, PolicyUse::enforced, diagnostics);
    const ExitCode exit_code = diagnostics.has_errors() ? ExitCode::invalid : ExitCode::done;
    if (options.format != "text") {
        std::vector<std::string> files;
        for (const auto& file : options.files) files.push_back(file.native());
        fmt::print("{}", render(diagnostics, format_from(options.format).value_or(DiagnosticsFormat::json), files));
        return exit_code;
    }
    print_diagnostics(diagnostics, global);
    if (exit_code == ExitCode::done) {
        fmt::print("stack {} is valid: {} networks, {} storage pools, {} volumes, {} images, {} profiles, {} containers\n",
                   stack.name, stack.networks.size(), stack.storage_pools.size(), stack.volumes.size(), stack.images.size(),
                   stack.profiles.size(), stack.containers.size());
    } else {
        fmt::print(stderr, "{} errors\n", diagnostics.error_count());
    }
    return exit_code;
}

}  // namespace

void add_validate_command(Program program) {
    CLI::App* command = program.app.add_subcommand("validate", "Check manifests offline: no root, no host");
    auto options = std::make_shared<ValidateOptions>();
    add_file_option(*command, options->files)->required();
    command->add_option("-o,--output", options->format, "text, json, github, sarif or junit")
        ->check(CLI::IsMember({"text", "json", "github", "sarif", "junit"}))
        ->capture_default_str();
    command->callback([program, options] { program.exit_code = validate(*options, program.options); });
}

}  // namespace ctl::cli
