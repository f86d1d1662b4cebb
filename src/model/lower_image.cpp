#include <algorithm>

#include <fmt/format.h>

#include "model/lowering.h"
#include "model/value_types.h"

namespace ctl::model {

namespace {

/// LXD's word for a download by whatever protocol; the only one that needs no daemon at the other end is simplestreams.
std::string type_of(const resource::ImageSource& source) {
    return source.type.text == "image" ? "simplestreams" : source.type.text;
}

std::string source_of(const resource::ImageSource& source, const HostLayout& layout) {
    const std::string type = type_of(source);
    if (type == "url") return text_value(source.more, "url");
    if (type == "simplestreams")
        return fmt::format("{} {}", text_value(source.more, "server"), text_value(source.more, "alias"));
    if (type == "debootstrap") return text_value(source.more, "suite");
    if (type == "container") return text_value(source.more, "container");
    return source.path.empty() ? std::string() : absolute_path(source.path, layout);
}

/// What else the source is told; paths as their author meant them.
std::map<std::string, std::string> options_of(const resource::ImageSource& source, const HostLayout& layout) {
    std::map<std::string, std::string> options;
    for (const auto* key : {"architecture", "certificate", "mirror", "packages", "variant"})
        if (const Value* value = find_value(source.more, key)) options.emplace(key, value->text);
    if (const Value* rootfs = find_value(source.more, "rootfs"))
        options.emplace("rootfs", type_of(source) == "file" ? absolute_path(*rootfs, layout) : rootfs->text);
    return options;
}

}  // namespace

void lower_image(Lowering& lowering, const resource::Image& image) {
    Image object;
    object.type = type_of(image.source);
    if (const auto source = source_of(image.source, lowering.layout); !source.empty()) object.source = source;
    if (auto options = options_of(image.source, lowering.layout); !options.empty()) object.options = std::move(options);
    if (!image.source.fingerprint.empty()) object.fingerprint = image.source.fingerprint.text;
    if (image.aliases) {
        object.aliases.emplace();
        for (const auto& alias : *image.aliases) object.aliases->push_back(alias.text);
        std::sort(object.aliases->begin(), object.aliases->end());
    }
    if (image.properties) {
        object.properties.emplace();
        for (const auto& [key, entry] : *image.properties) object.properties->emplace(key, entry.value.text);
    }
    if (!image.shared.empty()) object.shared = parse_bool(image.shared.text);
    if (!image.auto_update.empty()) object.auto_update = parse_bool(image.auto_update.text);

    const ResourceRef owner{lowering.stack.name, "Image", image.name.text};
    Entry& entry = lowering.add({ObjectKind::image, image.name.text}, object, owner, image.name.where);
    const SourceSpan& told = image.source.path.empty() ? image.source.where : image.source.path.where;
    entry.places = {{"type", image.source.type.where}, {"source", told},
                    {"options", image.source.where},   {"fingerprint", image.source.fingerprint.where},
                    {"public", image.shared.where},    {"auto_update", image.auto_update.where}};
    if (object.type == "container") entry.needs.push_back({{ObjectKind::container, *object.source}, Bond::order});
}

}  // namespace ctl::model
