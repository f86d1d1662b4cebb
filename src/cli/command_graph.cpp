#include <fmt/format.h>

#include "cli/commands.h"
#include "cli/manifests.h"
#include "cli/terminal.h"
#include "cli/topology.h"
#include "reconcile/observe.h"

namespace ctl::cli {

namespace {

struct GraphOptions {
    std::vector<std::filesystem::path> files;
    bool host = false;
    std::string format = "text";
};

ExitCode draw(const model::HostState& state, const std::string& format) {
    const Topology topology = topology_of(state);
    fmt::print("{}", format == "dot" ? to_dot(topology) : format == "svg" ? to_svg(topology) : to_text(topology));
    return ExitCode::done;
}

ExitCode graph_of_host(const GraphOptions& options, const GlobalOptions& global) {
    auto session = Session::open(global);
    if (!session) return fail(session.error());
    const auto observation = reconcile::observe(session->drivers(), {});
    if (!observation) return fail(observation.error());
    return draw(observation->state, options.format);
}

/// Names that a plan would take from the journal are chosen as on a host that has none.
ExitCode graph_of_manifests(const GraphOptions& options, const GlobalOptions& global) {
    const auto stack = require_stack(options.files, global, PolicyUse::ignored);
    if (!stack) return ExitCode::invalid;
    auto session = Session::offline(global);
    if (!session) return fail(session.error());
    return draw(model::lower(*stack, {}, session->layout()).desired, options.format);
}

}  // namespace

void add_graph_command(Program program) {
    CLI::App* command =
        program.app.add_subcommand("graph", "Draw what is connected to what: interfaces, networks, tunnels, containers");
    auto options = std::make_shared<GraphOptions>();
    CLI::Option* files = add_file_option(*command, options->files);
    command->add_flag("--host", options->host, "Draw what this host has now, instead of manifests")->excludes(files);
    command->add_option("-o,--output", options->format, "text, dot or svg")
        ->check(CLI::IsMember({"text", "dot", "svg"}))
        ->capture_default_str();
    command->callback([program, options] {
        if (!options->host && options->files.empty()) throw CLI::RequiredError("-f or --host");
        program.exit_code =
            options->host ? graph_of_host(*options, program.options) : graph_of_manifests(*options, program.options);
    });
}

}  // namespace ctl::cli
