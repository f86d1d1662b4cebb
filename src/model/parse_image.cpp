#include <algorithm>

#include <fmt/format.h>

#include "base/text.h"
#include "model/parse_reader.h"
#include "model/value_check.h"

namespace ctl::model {

namespace {

/// What each type of source can't do without.
struct Requirement {
    std::string_view type;
    std::string_view key;
    std::string_view hint;
};
constexpr Requirement requirements[] = {
    {"tarball", "path", "add path: the path of the tarball"},
    {"file", "path", "add path: the path of the image, or of its metadata with rootfs: beside it"},
    {"directory", "path", "add path: the path of the directory"},
    {"url", "url", "add url: https://…"},
    {"simplestreams", "server", "add server: https://…"},
    {"simplestreams", "alias", "add alias: what the server calls the image, such as debian/12"},
    {"image", "server", "add server: https://…"},
    {"image", "alias", "add alias: what the server calls the image, such as debian/12"},
    {"debootstrap", "suite", "add suite: what Debian calls the release, such as bookworm"},
    {"container", "container", "add container: the name of a container of this stack"},
};

constexpr const char* read_apart[] = {"type", "path", "fingerprint"};

/// `key` is not for this type of source: nobody would read it.
void check_only(const KeyInfo& key, const ConfigEntry& entry, const resource::ImageSource& source,
                Diagnostics& diagnostics) {
    if (key.only.empty() || source.type.empty() || entry.value.empty() || key.is_refused()) return;
    if (std::find(key.only.begin(), key.only.end(), source.type.text) != key.only.end()) return;
    diagnostics.error("unknown-key", fmt::format("{} is no key of an image source of type {}", key.name, source.type.text),
                      entry.key_where, fmt::format("{} has it", joined(key.only, ", ")));
}

void check_requirements(const Config& given, const resource::ImageSource& source, Diagnostics& diagnostics) {
    for (const auto& [type, key, hint] : requirements) {
        if (source.type.text != type) continue;
        const auto found = given.find(key);
        if (found != given.end() && !found->second.value.empty()) continue;
        diagnostics.error("missing-key", fmt::format("an image source of type {} has no {}", type, key), source.where,
                          std::string(hint));
        return;
    }
}

resource::ImageSource read_source(const Node& node, Diagnostics& diagnostics) {
    check_fields(node, image_source_fields(), diagnostics);
    resource::ImageSource source{field_value(node, "type"), field_value(node, "path"), field_value(node, "fingerprint"),
                                 node.where, read_config(&node)};
    for (const auto& [name, entry] : source.more)
        if (const KeyInfo* key = image_source_fields().find(name)) check_only(*key, entry, source, diagnostics);
    check_requirements(source.more, source, diagnostics);
    for (const auto* key : read_apart) source.more.erase(key);
    return source;
}

/// LXD prints {name, description} for each; a plain name is as good.
std::vector<Value> read_aliases(const Node& list, Diagnostics& diagnostics) {
    std::vector<Value> aliases;
    for (const auto& item : list.items) {
        const Value name = item.is_map() ? field_value(item, "name") : value_of(item);
        if (!name.empty()) aliases.push_back(name);
        else diagnostics.error("bad-value", "an alias without a name", item.where, "write aliases: [NAME, …]");
    }
    return aliases;
}

}  // namespace

resource::Image read_image(const Node& node, Diagnostics& diagnostics) {
    check_fields(node, fields_of(SchemaKind::image), diagnostics);
    resource::Image image;
    image.name = field_value(node, "name");
    image.description = field_value(node, "description");
    const Node* source = node.find("source");
    if (source != nullptr && source->is_map()) image.source = read_source(*source, diagnostics);
    if (const Node* aliases = node.find("aliases"); aliases != nullptr && aliases->is_sequence())
        image.aliases = read_aliases(*aliases, diagnostics);
    if (const Node* properties = node.find("properties"); properties != nullptr && properties->is_map())
        image.properties = read_config(properties);
    image.shared = field_value(node, "public");
    image.auto_update = field_value(node, "auto_update");
    return image;
}

}  // namespace ctl::model
