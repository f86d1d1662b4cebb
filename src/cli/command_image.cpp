#include <algorithm>

#include <fmt/format.h>

#include "base/text.h"
#include "cli/counters.h"
#include "cli/find_resource.h"
#include "cli/listing.h"
#include "cli/run.h"
#include "cli/snapshot_commands.h"
#include "cli/table.h"
#include "cli/terminal.h"
#include "reconcile/observe.h"
#include "reconcile/publish.h"

namespace ctl::cli {

namespace {

/// As many digits as LXD shows; they tell one image from another.
constexpr std::size_t short_fingerprint = 12;

/// The images of this host, with what the driver tells of each.
Result<std::vector<Item>> find_images(Session& session) {
    CTL_ASSIGN(const auto observation, reconcile::observe(session.drivers(), {}));
    auto images = list_items("Image", observation.state);
    std::set<model::ObjectId> ids;
    for (const auto& image : images) ids.insert({model::ObjectKind::image, image.name});
    CTL_ASSIGN(const auto facts, reconcile::facts(session.drivers(), ids));
    for (auto& image : images)
        if (const auto* known = facts_of(facts, {model::ObjectKind::image, image.name}))
            image.facts.insert(image.facts.end(), known->begin(), known->end());
    return images;
}

std::string size_of(const Item& image) {
    for (const auto& [name, value] : image.facts)
        if (const auto* size = std::get_if<std::int64_t>(&value); size != nullptr && name == "size")
            return bytes_text(*size);
    return {};
}

void print_table(const std::vector<Item>& images) {
    Table table({"NAME", "ALIASES", "FINGERPRINT", "SIZE", "TYPE", "PUBLIC", "ARCHITECTURE", "UPLOADED", "STACK"});
    for (const auto& image : images) {
        std::vector<std::string> row{image.name,
                                     image.fact("aliases"),
                                     image.fact("fingerprint").substr(0, short_fingerprint),
                                     size_of(image),
                                     image.fact("type"),
                                     image.fact("public") == "true" ? "yes" : "no",
                                     image.fact("architecture"),
                                     image.fact("uploaded"),
                                     image.stack};
        for (auto& cell : row) cell = cell.empty() ? "-" : escaped(cell);
        table.add(std::move(row));
    }
    fmt::print("{}", table.str());
}

void print_text(const Item& image) {
    const auto line = [](std::string_view label, const std::string& value) {
        if (!value.empty()) fmt::print("{:<14} {}\n", label, escaped(value));
    };
    line("Name", image.name);
    line("Stack", image.stack);
    line("Size", size_of(image));
    for (const auto& [label, fact] :
         {std::pair{"Fingerprint", "fingerprint"}, std::pair{"Aliases", "aliases"}, std::pair{"Type", "type"},
          std::pair{"Source", "source"}, std::pair{"Options", "options"}, std::pair{"Public", "public"},
          std::pair{"Auto update", "auto_update"}, std::pair{"Looked at", "looked"}, std::pair{"Trouble", "trouble"},
          std::pair{"Architecture", "architecture"}, std::pair{"Created", "created"}, std::pair{"Uploaded", "uploaded"},
          std::pair{"Expires", "expires"}, std::pair{"Left out", "left_out"}, std::pair{"Properties", "properties"},
          std::pair{"Its own words", "metadata"}, std::pair{"Templates", "templates"}})
        line(label, image.fact(fact));
}

bool is_called(const Item& image, const std::string& name) {
    if (image.name == name) return true;
    for (const auto& [fact, value] : image.facts)
        if (const auto* aliases = std::get_if<std::vector<std::string>>(&value); aliases != nullptr && fact == "aliases")
            return std::find(aliases->begin(), aliases->end(), name) != aliases->end();
    return false;
}

/// By its name, an alias, or the beginning of its fingerprint.
Result<Item> find_image(const std::vector<Item>& images, const std::string& wanted) {
    std::vector<Item> found;
    for (const auto& image : images) {
        if (is_called(image, wanted)) return image;
        if (!wanted.empty() && image.fact("fingerprint").starts_with(wanted)) found.push_back(image);
    }
    if (found.size() == 1) return found.front();
    if (!found.empty())
        return Error(ErrorCode::invalid,
                     fmt::format("{} images have a fingerprint that begins with {}", found.size(), ctl::quoted(wanted)))
            .hint("write more of it, or the image's name");
    return Error(ErrorCode::not_found, fmt::format("no image {} of ctl's is on this host", ctl::quoted(wanted)))
        .hint("see: ctl image list");
}

ExitCode show(const std::string& wanted, const std::string& format, const GlobalOptions& global) {
    auto session = Session::open(global);
    if (!session) return fail(session.error());
    auto images = find_images(*session);
    if (!images) return fail(images.error());
    if (!wanted.empty()) {
        auto one = find_image(*images, wanted);
        if (!one) return fail(one.error());
        *images = {*std::move(one)};
    }
    if (format == "json") fmt::print("{}\n", items_to_json(*images));
    else if (format == "yaml") fmt::print("{}", items_to_yaml(*images));
    else if (wanted.empty()) print_table(*images);
    else print_text(images->front());
    return ExitCode::done;
}

struct PublishOptions {
    std::string container;
    std::vector<std::string> aliases;
    std::vector<std::string> properties;
    bool shared = false;
    RunOptions run;
};

Result<std::map<std::string, std::string>> properties_of(const std::vector<std::string>& words) {
    std::map<std::string, std::string> properties;
    for (const auto& word : words) {
        const std::size_t equals = word.find('=');
        if (equals == 0 || equals == std::string::npos)
            return Error(ErrorCode::invalid, fmt::format("{} is not KEY=VALUE", ctl::quoted(word)))
                .hint("properties of the image: os=Debian release=bookworm");
        properties[word.substr(0, equals)] = word.substr(equals + 1);
    }
    return properties;
}

ExitCode publish(const PublishOptions& options, const GlobalOptions& global) {
    const auto properties = properties_of(options.properties);
    if (!properties) {
        static_cast<void>(fail(properties.error()));
        return ExitCode::usage;
    }
    return run_plan(options.run, global,
                    [&](const reconcile::Environment& environment, std::stop_token stop) -> Result<reconcile::Prepared> {
                        CTL_ASSIGN(auto container, find_resource(environment.journal, "Container", options.container));
                        return reconcile::prepare_publish(
                            environment, {std::move(container), options.aliases, *properties, options.shared},
                            std::move(stop));
                    });
}

void add_show(CLI::App& parent, Program program, const char* name, const char* description, const char* plain) {
    CLI::App* command = parent.add_subcommand(name, description);
    auto wanted = std::make_shared<std::string>();
    auto format = std::make_shared<std::string>(plain);
    if (std::string_view(name) == "info")
        command->add_option("image", *wanted, "Its name, an alias, or the beginning of its fingerprint")->required();
    command->add_option("-o,--output", *format, fmt::format("{}, yaml or json", plain))
        ->check(CLI::IsMember({plain, "yaml", "json"}))
        ->capture_default_str();
    command->callback([program, wanted, format] { program.exit_code = show(*wanted, *format, program.options); });
}

void add_publish(CLI::App& parent, Program program) {
    CLI::App* command = parent.add_subcommand("publish", "Make an image of a stopped container");
    auto options = std::make_shared<PublishOptions>();
    options->run.yes = true;  // it takes nothing from anyone
    command->add_option("container", options->container, "Its name")->required();
    command->add_option("properties", options->properties, "KEY=VALUE, kept with the image");
    command->add_option("--alias", options->aliases, "The image's name; given again, a further one")
        ->required()
        ->allow_extra_args(false);
    command->add_flag("--public", options->shared, "For who serves images; ctl itself serves nobody");
    add_run_choice(*command, options->run);
    command->callback([program, options] { program.exit_code = publish(*options, program.options); });
}

void add_delete(CLI::App& parent, Program program) {
    CLI::App* command = parent.add_subcommand("delete", "Delete an image that was published");
    auto name = std::make_shared<std::string>();
    auto options = std::make_shared<RunOptions>();
    command->add_option("image", *name, "Its name")->required();
    command->add_flag("-y,--yes", options->yes, "Don't ask");
    add_run_choice(*command, *options);
    command->callback([program, name, options] {
        program.exit_code =
            run_plan(*options, program.options, [&](const reconcile::Environment& environment, std::stop_token stop) {
                return reconcile::prepare_image_removal(environment, *name, std::move(stop));
            });
    });
}

}  // namespace

void add_image_command(Program program) {
    CLI::App* command = program.app.add_subcommand("image", "Show the images of this host, and make one of a container");
    command->require_subcommand(1);
    add_show(*command, program, "list", "List all images: names, fingerprint, size", "table");
    add_show(*command, program, "info", "Show one image: source, properties, what it says of itself, updates", "text");
    add_publish(*command, program);
    add_delete(*command, program);
}

}  // namespace ctl::cli
