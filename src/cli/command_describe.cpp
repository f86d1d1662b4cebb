#include <fmt/format.h>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/kinds.h"
#include "cli/network_report.h"
#include "cli/terminal.h"
#include "reconcile/observe.h"

namespace ctl::cli {

namespace {

struct DescribeOptions {
    std::string kind;
    std::string name;
    std::string format = "text";
};

ExitCode describe(const DescribeOptions& options, const GlobalOptions& global) {
    if (resource_kind(options.kind) != "Network") {
        fmt::print(stderr, "error: {} can't be described; networks can (for a container: ctl info NAME)\n",
                   ctl::quoted(options.kind));
        return ExitCode::usage;
    }
    auto session = Session::open(global);
    if (!session) return fail(session.error());
    const auto observation = reconcile::observe(session->drivers(), {});
    if (!observation) return fail(observation.error());
    const auto report = report_network(observation->state, options.name);
    if (!report)
        return fail(
            Error(ErrorCode::not_found, fmt::format("no network {} of ctl's is on this host", ctl::quoted(options.name)))
                .hint("see: ctl get networks"));
    const auto facts = reconcile::facts(session->drivers(), interesting(*report));
    if (!facts) return fail(facts.error());
    if (options.format == "json") fmt::print("{}\n", to_json(*report, *facts));
    else fmt::print("{}", to_text(*report, *facts));
    return ExitCode::done;
}

}  // namespace

void add_describe_command(Program program) {
    CLI::App* command = program.app.add_subcommand(
        "describe", "Show one network: addresses, who is attached by which port, leases, firewall, counters");
    auto options = std::make_shared<DescribeOptions>();
    command->add_option("kind", options->kind, "network")->required();
    command->add_option("name", options->name, "Its name")->required();
    command->add_option("-o,--output", options->format, "text or json")
        ->check(CLI::IsMember({"text", "json"}))
        ->capture_default_str();
    command->callback([program, options] { program.exit_code = describe(*options, program.options); });
}

}  // namespace ctl::cli
