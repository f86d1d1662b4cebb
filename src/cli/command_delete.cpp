#include <fmt/format.h>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/find_resource.h"
#include "cli/kinds.h"
#include "cli/manifests.h"
#include "cli/run.h"

namespace ctl::cli {

namespace {

struct DeleteOptions {
    std::vector<std::filesystem::path> files;
    std::string resource;
    RunOptions run;
};

/// The resource a person means by "container/web", with the stack that applied it.
Result<model::ResourceRef> resource_of(reconcile::Journal& journal, const std::string& text) {
    const std::size_t slash = text.find('/');
    const auto kind = slash == std::string::npos ? std::nullopt : resource_kind(text.substr(0, slash));
    if (!kind)
        return Error(ErrorCode::invalid, fmt::format("{} is not KIND/NAME of a resource", ctl::quoted(text)))
            .hint("for example container/web or network/br0");
    return find_resource(journal, *kind, text.substr(slash + 1));
}

ExitCode remove(const DeleteOptions& options, const GlobalOptions& global) {
    const auto prepare_options = options.run.planning.to_prepare_options();
    if (options.files.empty() == options.resource.empty()) {
        fmt::print(stderr, "error: delete takes either -f FILE or one KIND/NAME\n");
        return ExitCode::usage;
    }
    if (!options.resource.empty()) {
        return run_plan(options.run, global,
                        [&](const reconcile::Environment& environment, std::stop_token stop) -> Result<reconcile::Prepared> {
                            CTL_ASSIGN(const auto resource, resource_of(environment.journal, options.resource));
                            return reconcile::prepare_delete_resource(environment, resource, prepare_options,
                                                                      std::move(stop));
                        });
    }
    const auto stack = require_stack(options.files, global, PolicyUse::ignored);
    if (!stack) return ExitCode::invalid;
    return run_plan(options.run, global, [&](const reconcile::Environment& environment, std::stop_token stop) {
        return reconcile::prepare_delete(environment, stack->name, prepare_options, std::move(stop));
    });
}

}  // namespace

void add_delete_command(Program program) {
    CLI::App* command = program.app.add_subcommand("delete", "Delete a stack, or one resource of it, from the host");
    auto options = std::make_shared<DeleteOptions>();
    add_file_option(*command, options->files);
    command->add_option("resource", options->resource, "KIND/NAME, for example container/web");
    add_run_options(*command, options->run);
    command->callback([program, options] { program.exit_code = remove(*options, program.options); });
}

}  // namespace ctl::cli
