#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>

#include <fmt/format.h>

#include "base/text.h"
#include "cli/container_commands.h"
#include "cli/counters.h"
#include "cli/table.h"
#include "cli/terminal.h"
#include "reconcile/observe.h"

namespace ctl::cli {

namespace {

using model::ObjectId;
using model::ObjectKind;
using Clock = std::chrono::steady_clock;

struct TopOptions {
    double interval = 2;  ///< seconds
    bool once = false;
};

/// What all running containers have taken by now.
struct Sample {
    Clock::time_point at;
    FactsByObject facts;
};

Result<Sample> sample(reconcile::DriverSet& drivers) {
    CTL_ASSIGN(const auto observation, reconcile::observe(drivers, {}));
    std::set<ObjectId> ids;
    for (const auto& [id, entry] : observation.state)
        if (id.kind == ObjectKind::container && entry.mark != model::Mark::none) ids.insert(id);
    CTL_ASSIGN(auto facts, reconcile::facts(drivers, ids));
    return Sample{Clock::now(), std::move(facts)};
}

/// Per cent of one CPU between two samples; less than 0 when that can't be told.
double cpu_share(const Sample& before, const Sample& now, const ObjectId& id) {
    const auto then = number_of(facts_of(before.facts, id), "cpu_ns");
    const auto since = number_of(facts_of(now.facts, id), "cpu_ns");
    const double elapsed = std::chrono::duration<double, std::nano>(now.at - before.at).count();
    if (!then || !since || elapsed <= 0 || *since < *then) return -1;
    return 100.0 * static_cast<double>(*since - *then) / elapsed;
}

std::string top_table(const Sample& before, const Sample& now) {
    std::vector<std::pair<double, ObjectId>> order;
    for (const auto& [id, facts] : now.facts) order.emplace_back(cpu_share(before, now, id), id);
    std::stable_sort(order.begin(), order.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
    Table table({"NAME", "CPU %", "CPU SECONDS", "MEMORY", "PEAK", "PROCESSES", "PID"});
    for (const auto& [share, id] : order) {
        const auto* facts = facts_of(now.facts, id);
        const auto cpu = number_of(facts, "cpu_ns");
        const auto count = [&](const char* name) {
            const auto value = number_of(facts, name);
            return value ? std::to_string(*value) : std::string("-");
        };
        const auto size = [&](const char* name) {
            const auto value = number_of(facts, name);
            return value ? bytes_text(*value) : std::string("-");
        };
        table.add({escaped(id.name), share < 0 ? "-" : fmt::format("{:.1f}", share),
                   cpu ? fmt::format("{:.2f}", static_cast<double>(*cpu) / 1e9) : "-", size("memory"), size("memory_peak"),
                   count("processes"), count("pid")});
    }
    return table.str();
}

/// False when interrupted.
bool wait(const Interrupt& interrupt, double seconds) {
    pollfd stop{interrupt.fd(), POLLIN, 0};
    return ::poll(&stop, 1, static_cast<int>(seconds * 1000)) <= 0;
}

ExitCode top(const TopOptions& options, const GlobalOptions& global) {
    const Interrupt interrupt;
    auto session = Session::open(global);
    if (!session) return fail(session.error());
    const bool once = options.once || ::isatty(STDOUT_FILENO) == 0;
    auto before = sample(session->drivers());
    if (!before) return fail(before.error());
    while (wait(interrupt, options.interval)) {
        auto now = sample(session->drivers());
        if (!now) return fail(now.error());
        // To the top of a cleared screen, so that the table stays where it is.
        fmt::print("{}{}", once ? "" : "\x1b[H\x1b[2J", top_table(*before, *now));
        std::fflush(stdout);
        if (once) break;
        before = std::move(now);
    }
    return ExitCode::done;
}

}  // namespace

void add_top_command(Program program) {
    CLI::App* command = program.app.add_subcommand("top", "Show what running containers take, the busiest first");
    auto options = std::make_shared<TopOptions>();
    command->add_option("--interval", options->interval, "Seconds between two looks")
        ->check(CLI::Range(0.1, 3600.0))
        ->capture_default_str();
    command->add_flag("--once", options->once, "One table and no more, as when the output is no terminal");
    command->callback([program, options] { program.exit_code = top(*options, program.options); });
}

}  // namespace ctl::cli
