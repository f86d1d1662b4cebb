#include "drivers/api/image_metadata.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include <fmt/format.h>

#include "base/text.h"
#include "base/tree.h"
#include "drivers/api/store.h"
#include "model/value_types.h"
#include "model/yaml.h"

namespace ctl::drivers {

namespace {

using model::Node;

constexpr std::size_t metadata_limit = std::size_t{1} << 20;

std::string text_of(const Node& map, std::string_view key) {
    const Node* found = map.find(key);
    return found != nullptr && found->is_scalar() ? found->text : std::string();
}

std::map<std::string, std::string> texts_of(const Node* map) {
    std::map<std::string, std::string> texts;
    if (map == nullptr) return texts;
    for (const auto& [key, value] : map->pairs)
        if (value.is_scalar()) texts.emplace(key.text, value.text);
    return texts;
}

Result<ImageTemplate> read_template(const std::string& target, const Node& node) {
    ImageTemplate read;
    read.target = target;
    read.file = text_of(node, "template");
    if (!model::is_absolute_path(target) || target.ends_with('/') || !is_plain_name(read.file))
        return Error(ErrorCode::invalid,
                     fmt::format("template {} for {} is unusable", ctl::quoted(read.file), ctl::quoted(target)));
    if (const Node* when = node.find("when"); when != nullptr)
        for (const auto& item : when->items)
            if (item.is_scalar()) read.when.insert(item.text);
    read.create_only = model::parse_bool(text_of(node, "create_only")).value_or(false);
    read.properties = texts_of(node.find("properties"));
    return read;
}

}  // namespace

Result<ImageMetadata> parse_image_metadata(std::string_view yaml) {
    Diagnostics diagnostics;
    const auto documents = model::load_yaml(yaml, image_metadata_name, diagnostics);
    for (const auto& found : diagnostics.all())
        if (found.severity == Severity::error)
            return Error(ErrorCode::invalid, fmt::format("{}: {}", found.where.str(), found.message));
    if (documents.size() != 1 || !documents.front().is_map())
        return Error(ErrorCode::invalid, fmt::format("{} is no map", image_metadata_name));
    const Node& root = documents.front();
    ImageMetadata metadata;
    metadata.architecture = text_of(root, "architecture");
    metadata.creation_date = model::parse_uint(text_of(root, "creation_date")).value_or(0);
    metadata.expiry_date = model::parse_uint(text_of(root, "expiry_date")).value_or(0);
    if (metadata.architecture.empty() || metadata.creation_date == 0)
        return Error(ErrorCode::invalid, fmt::format("{} lacks architecture or creation_date", image_metadata_name));
    metadata.properties = texts_of(root.find("properties"));
    if (const Node* templates = root.find("templates"); templates != nullptr)
        for (const auto& [target, node] : templates->pairs) {
            CTL_ASSIGN(auto read, read_template(target.text, node));
            metadata.templates.push_back(std::move(read));
        }
    return metadata;
}

Result<std::string> read_file_beneath(int directory, const std::string& path, std::size_t limit) {
    CTL_ASSIGN(const Fd fd, open_beneath(directory, path, O_RDONLY | O_NONBLOCK | O_NOCTTY));
    struct stat info {};
    if (::fstat(fd.get(), &info) != 0) return system_error(errno, fmt::format("stat {}", ctl::quoted(path)));
    if (!S_ISREG(info.st_mode) || info.st_size > static_cast<off_t>(limit))
        return Error(ErrorCode::invalid, fmt::format("{} is no regular file of at most {} bytes", ctl::quoted(path), limit));
    std::string text(static_cast<std::size_t>(info.st_size), '\0');
    std::size_t have = 0;
    while (have < text.size()) {
        const ssize_t got = ::read(fd.get(), text.data() + have, text.size() - have);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return system_error(errno, fmt::format("read {}", ctl::quoted(path)));
        if (got == 0) break;
        have += static_cast<std::size_t>(got);
    }
    text.resize(have);
    return text;
}

Result<ImageMetadata> read_image_metadata(int directory) {
    CTL_ASSIGN(const std::string text, read_file_beneath(directory, std::string(image_metadata_name), metadata_limit));
    return parse_image_metadata(text);
}

}  // namespace ctl::drivers
