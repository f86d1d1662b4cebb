#include "cli/manifests.h"

#include "cli/terminal.h"
#include "model/parse.h"
#include "model/policy.h"
#include "model/validate.h"

namespace ctl::cli {

CLI::Option* add_file_option(CLI::App& command, std::vector<std::filesystem::path>& files) {
    return command.add_option("-f,--file", files, "Manifests: files, folders, or - for standard input");
}

namespace {

constexpr const char* usual_policy = "/etc/ctl/policy.yaml";

void hold_to_policy(const model::resource::Stack& stack, const GlobalOptions& options, Diagnostics& diagnostics) {
    std::error_code unreadable;
    // One that is there but can't be looked at is an error, not a host without a policy.
    if (options.policy.empty() &&
        std::filesystem::status(usual_policy, unreadable).type() == std::filesystem::file_type::not_found)
        return;
    const auto policy = model::load_policy(options.policy.empty() ? usual_policy : options.policy, diagnostics);
    std::error_code nowhere;
    const model::HostLayout layout{.working_dir = std::filesystem::current_path(nowhere).native()};
    if (policy) model::check_policy(*policy, stack, layout, diagnostics);
}

}  // namespace

model::resource::Stack load_stack(const std::vector<std::filesystem::path>& files, const GlobalOptions& options,
                                  PolicyUse policy, Diagnostics& diagnostics) {
    model::resource::Stack stack = model::load_stack(files, diagnostics);
    model::validate(stack, diagnostics);
    if (policy == PolicyUse::enforced) hold_to_policy(stack, options, diagnostics);
    diagnostics.sort_by_place();
    return stack;
}

std::optional<model::resource::Stack> require_stack(const std::vector<std::filesystem::path>& files,
                                                    const GlobalOptions& options, PolicyUse policy) {
    Diagnostics diagnostics;
    model::resource::Stack stack = load_stack(files, options, policy, diagnostics);
    print_diagnostics(diagnostics, options);
    if (diagnostics.has_errors()) return std::nullopt;
    return stack;
}

}  // namespace ctl::cli
