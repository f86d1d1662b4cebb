#include <algorithm>

#include <fmt/format.h>

#include "base/text.h"
#include "model/validation.h"
#include "model/value_types.h"

namespace ctl::model {

namespace {

/// LXD's aliases have slashes: debian/12.
bool is_alias(std::string_view text) {
    return text.size() <= 200 && std::all_of(text.begin(), text.end(), [](char c) {
               return static_cast<unsigned char>(c) > ' ' && c != 0x7f && c != '\\' && c != '"';
           });
}

void check_aliases(Validation& validation, const resource::Image& image) {
    if (!image.aliases) return;
    for (const auto& alias : *image.aliases) {
        if (!is_alias(alias.text))
            validation.error("bad-name", fmt::format("{} can't be an alias of an image", quoted(alias.text)), alias.where,
                             "use letters, digits and punctuation without blanks");
        const auto first = validation.images.find(alias.text);
        if (first != validation.images.end() && first->second == &image && alias.text != image.name.text) continue;
        validation.error("duplicate-name",
                         fmt::format("alias {} is the name or an alias of image {} already", quoted(alias.text),
                                     quoted(first->second->name.text)),
                         alias.where, "rename or remove one of them");
    }
}

void check_source(Validation& validation, const resource::Image& image) {
    const resource::ImageSource& source = image.source;
    const bool follows = source.type.text == "simplestreams" || source.type.text == "image";
    if (parse_bool(image.auto_update.text).value_or(false) && !follows)
        validation.error("bad-combination",
                         fmt::format("image {} has nothing to follow: its source is of type {}", quoted(image.name.text),
                                     source.type.text),
                         image.auto_update.where, "auto_update goes with an alias on an image server");
    const Value* container = find_value(source.more, "container");
    if (container != nullptr && source.type.text == "container" && !validation.containers.contains(container->text))
        validation.error("unknown-container", fmt::format("no container {} is declared", quoted(container->text)),
                         container->where,
                         validation.suggestion(container->text, validation.containers, "declare it under containers"));
}

}  // namespace

void validate_images(Validation& validation) {
    for (const auto& image : validation.stack.images) {
        check_aliases(validation, image);
        check_source(validation, image);
    }
}

}  // namespace ctl::model
