#include <array>
#include <cctype>

#include <fmt/format.h>

#include "base/text.h"
#include "cli/ansible.h"
#include "cli/commands.h"
#include "cli/kinds.h"
#include "cli/listing.h"
#include "cli/table.h"
#include "cli/terminal.h"
#include "reconcile/observe.h"

namespace ctl::cli {

namespace {

struct GetOptions {
    std::string kind;
    std::string name;
    std::string format = "table";
};

constexpr std::array<std::string_view, 6> listed_kinds{"Network", "StoragePool", "Volume", "Image", "Container", "Snapshot"};

std::string heading(std::string column) {
    for (auto& c : column) c = c == '_' ? ' ' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    return column;
}

void print_table(std::string_view kind, const std::vector<Item>& items, bool wide) {
    const auto columns = columns_of(kind, wide);
    std::vector<std::string> head{"NAME"};
    for (const auto& column : columns) head.push_back(heading(column));
    head.emplace_back("STACK");
    Table table(std::move(head));
    for (const auto& item : items) {
        std::vector<std::string> row{escaped(item.name)};
        for (const auto& column : columns) {
            const std::string text = item.fact(column);
            row.push_back(text.empty() ? "-" : text);
        }
        row.push_back(escaped(item.stack));
        table.add(std::move(row));
    }
    fmt::print("{}", table.str());
}

ExitCode print_stacks(Session& session) {
    const auto stacks = session.journal().stacks();
    if (!stacks) return fail(stacks.error());
    Table table({"STACK", "RESOURCES", "OBJECTS", "LAST RUN", "OUTCOME"});
    for (const auto& stack : *stacks)
        table.add({escaped(stack.name), std::to_string(stack.resources), std::to_string(stack.objects), stack.last_run,
                   stack.last_outcome});
    fmt::print("{}", table.str());
    return ExitCode::done;
}

ExitCode get(const GetOptions& options, const GlobalOptions& global) {
    const auto kind = options.kind.empty() ? std::optional<std::string>() : resource_kind(options.kind);
    if (!options.kind.empty() && !kind) {
        fmt::print(stderr,
                   "error: {} is not a kind; kinds are containers, networks, images, pools, volumes, snapshots, stacks\n",
                   ctl::quoted(options.kind));
        return ExitCode::usage;
    }
    if (options.format == "ansible" && kind != "Container") {
        fmt::print(stderr, "error: an inventory is of containers: ctl get containers -o ansible\n");
        return ExitCode::usage;
    }
    auto session = Session::open(global);
    if (!session) return fail(session.error());
    if (kind == "Stack") return print_stacks(*session);
    const auto observation = reconcile::observe(session->drivers(), {});
    if (!observation) return fail(observation.error());

    std::vector<Item> all;
    bool first = true;
    for (const auto listed : listed_kinds) {
        if (kind && *kind != listed) continue;
        auto items = list_items(listed, observation->state);
        if (!options.name.empty()) std::erase_if(items, [&](const Item& item) { return item.name != options.name; });
        if (options.format == "table" || options.format == "wide") {
            if (!kind && items.empty()) continue;
            if (!kind) fmt::print("{}{}\n", first ? "" : "\n", listed);
            print_table(listed, items, options.format == "wide");
            first = false;
        }
        all.insert(all.end(), items.begin(), items.end());
    }
    if (options.format == "json") fmt::print("{}\n", items_to_json(all));
    if (options.format == "ansible") fmt::print("{}\n", items_to_ansible(all));
    if (options.format == "yaml") fmt::print("{}", items_to_yaml(all));
    if (!options.name.empty() && all.empty())
        return fail(Error(ErrorCode::not_found,
                          fmt::format("no {} {} of ctl's is on this host", options.kind, ctl::quoted(options.name))));
    return ExitCode::done;
}

}  // namespace

void add_get_command(Program program) {
    CLI::App* command = program.app.add_subcommand("get", "List what ctl keeps on this host, as the host shows it now");
    auto options = std::make_shared<GetOptions>();
    command->add_option("kind", options->kind, "containers, networks, images, pools, volumes, snapshots or stacks");
    command->add_option("name", options->name, "Only this one");
    command->add_option("-o,--output", options->format, "table, wide, yaml, json, or ansible (an inventory of containers)")
        ->check(CLI::IsMember({"table", "wide", "yaml", "json", "ansible"}))
        ->capture_default_str();
    command->callback([program, options] { program.exit_code = get(*options, program.options); });
}

}  // namespace ctl::cli
