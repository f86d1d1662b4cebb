#include <fmt/format.h>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/listing.h"
#include "cli/terminal.h"
#include "reconcile/observe.h"

namespace ctl::cli {

namespace {

using model::ObjectKind;

struct InfoOptions {
    std::string name;
    std::string format = "text";
};

void print_line(std::string_view label, const std::string& text) {
    if (!text.empty()) fmt::print("{:<14} {}\n", label, text);
}

void print_interfaces(const model::HostState& observed, const std::string& container) {
    for (const auto& [id, entry] : observed) {
        if (id.kind != ObjectKind::link) continue;
        const auto name = model::ScopedName::parse(id.name);
        if (name.netns != container || name.name == "lo") continue;
        const auto& link = std::get<model::Link>(entry.object);
        fmt::print("  {} ({}{})\n", escaped(name.name), link.type ? model::to_string(*link.type) : "foreign",
                   link.up.value_or(false) ? ", up" : ", down");
        const auto print_fact = [](std::string_view label, const std::string& text) {
            if (!text.empty()) fmt::print("    {:<10} {}\n", label, text);
        };
        print_fact("host side", link.peer ? escaped(*link.peer) : std::string());
        print_fact("parent", link.parent ? escaped(*link.parent) : std::string());
        if (link.peer) {
            const auto host_end = observed.find({ObjectKind::link, *link.peer});
            if (host_end != observed.end())
                print_fact("port of", escaped(std::get<model::Link>(host_end->second.object).master.value_or("")));
        }
        print_fact("mac", link.mac.value_or(""));
        print_fact("mtu", link.mtu ? std::to_string(*link.mtu) : std::string());
        print_fact("addresses", link.addresses ? model::to_text(model::to_field_value(*link.addresses)) : std::string());
    }
}

ExitCode info(const InfoOptions& options, const GlobalOptions& global) {
    auto session = Session::open(global);
    if (!session) return fail(session.error());
    const auto observation = reconcile::observe(session->drivers(), {});
    if (!observation) return fail(observation.error());
    auto items = list_items("Container", observation->state);
    std::erase_if(items, [&](const Item& item) { return item.name != options.name; });
    if (items.empty())
        return fail(
            Error(ErrorCode::not_found, fmt::format("no container {} of ctl's is on this host", ctl::quoted(options.name)))
                .hint("see: ctl get containers"));
    if (options.format == "json") {
        fmt::print("{}\n", items_to_json(items));
        return ExitCode::done;
    }
    const Item& item = items.front();
    print_line("Name", escaped(item.name));
    print_line("Stack", escaped(item.stack));
    for (const auto& [label, fact] :
         {std::pair{"State", "state"}, std::pair{"Image", "image"}, std::pair{"Volume", "volume"},
          std::pair{"Root", "rootfs"}, std::pair{"Ids", "idmap"}, std::pair{"Memory limit", "memory_limit"},
          std::pair{"Process limit", "process_limit"}, std::pair{"CPUs", "cpu_set"}, std::pair{"Autostart", "autostart"},
          std::pair{"Environment", "environment"}, std::pair{"Mounts", "mounts"}, std::pair{"Raw", "raw"}})
        print_line(label, item.fact(fact));
    fmt::print("Interfaces\n");
    print_interfaces(observation->state, item.name);
    return ExitCode::done;
}

}  // namespace

void add_info_command(Program program) {
    CLI::App* command =
        program.app.add_subcommand("info", "Show one container: state, addresses, interfaces, mounts, limits");
    auto options = std::make_shared<InfoOptions>();
    command->add_option("container", options->name, "Its name")->required();
    command->add_option("-o,--output", options->format, "text or json")
        ->check(CLI::IsMember({"text", "json"}))
        ->capture_default_str();
    command->callback([program, options] { program.exit_code = info(*options, program.options); });
}

}  // namespace ctl::cli
