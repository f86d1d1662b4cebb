#include <fmt/format.h>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/container_report.h"
#include "cli/terminal.h"
#include "reconcile/observe.h"

namespace ctl::cli {

namespace {

struct InfoOptions {
    std::string name;
    std::string format = "text";
};

/// With which profiles the container was applied last; the host itself doesn't show them.
std::string profiles_of(reconcile::Journal& journal, const Item& item) {
    const auto resources = journal.resources(item.stack);
    if (!resources) return {};
    for (const auto& resource : *resources)
        if (resource.kind == "Container" && resource.name == item.name) return resource.profiles;
    return {};
}

ExitCode info(const InfoOptions& options, const GlobalOptions& global) {
    auto session = Session::open(global);
    if (!session) return fail(session.error());
    const auto observation = reconcile::observe(session->drivers(), {});
    if (!observation) return fail(observation.error());
    auto report = report_container(observation->state, options.name);
    if (!report)
        return fail(
            Error(ErrorCode::not_found, fmt::format("no container {} of ctl's is on this host", ctl::quoted(options.name)))
                .hint("see: ctl get containers"));
    report->profiles = profiles_of(session->journal(), report->item);
    const auto facts = reconcile::facts(session->drivers(), interesting(*report));
    if (!facts) return fail(facts.error());
    if (options.format == "json") fmt::print("{}\n", to_json(*report, *facts));
    else fmt::print("{}", to_text(*report, *facts));
    return ExitCode::done;
}

}  // namespace

void add_info_command(Program program) {
    CLI::App* command = program.app.add_subcommand(
        "info", "Show one container: state, processes, CPU, memory, interfaces with addresses and traffic, mounts, limits");
    auto options = std::make_shared<InfoOptions>();
    command->add_option("container", options->name, "Its name")->required();
    command->add_option("-o,--output", options->format, "text or json")
        ->check(CLI::IsMember({"text", "json"}))
        ->capture_default_str();
    command->callback([program, options] { program.exit_code = info(*options, program.options); });
}

}  // namespace ctl::cli
