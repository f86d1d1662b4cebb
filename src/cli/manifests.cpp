#include "cli/manifests.h"

#include "cli/terminal.h"
#include "model/parse.h"
#include "model/validate.h"

namespace ctl::cli {

CLI::Option* add_file_option(CLI::App& command, std::vector<std::filesystem::path>& files) {
    return command.add_option("-f,--file", files, "Manifests: files, folders, or - for standard input");
}

model::resource::Stack load_valid_stack(const std::vector<std::filesystem::path>& files, Diagnostics& diagnostics) {
    model::resource::Stack stack = model::load_stack(files, diagnostics);
    model::validate(stack, diagnostics);
    diagnostics.sort_by_place();
    return stack;
}

std::optional<model::resource::Stack> require_stack(const std::vector<std::filesystem::path>& files,
                                                    const GlobalOptions& options) {
    Diagnostics diagnostics;
    model::resource::Stack stack = load_valid_stack(files, diagnostics);
    print_diagnostics(diagnostics, options);
    if (diagnostics.has_errors()) return std::nullopt;
    return stack;
}

}  // namespace ctl::cli
