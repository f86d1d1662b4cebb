#include "drivers/api/mark.h"

#include <fmt/format.h>

namespace ctl::drivers {

namespace {
constexpr std::string_view prefix = "ctl:1:";
}

std::string make_mark(const model::ResourceRef& owner, const model::ObjectId& id) {
    return fmt::format("{}{}:{}:{}", prefix, owner.stack, owner.str(), id.str());
}

std::optional<model::ResourceRef> read_mark(std::string_view mark, const model::ObjectId& id) {
    if (!mark.starts_with(prefix)) return std::nullopt;
    mark.remove_prefix(prefix.size());
    const std::size_t stack_end = mark.find(':');
    if (stack_end == std::string_view::npos) return std::nullopt;
    const std::string_view stack = mark.substr(0, stack_end);
    mark.remove_prefix(stack_end + 1);
    const std::size_t resource_end = mark.find(':');
    if (resource_end == std::string_view::npos || mark.substr(resource_end + 1) != id.str()) return std::nullopt;
    const std::string_view resource = mark.substr(0, resource_end);
    const std::size_t slash = resource.find('/');
    if (slash == std::string_view::npos) return std::nullopt;
    return model::ResourceRef{std::string(stack), std::string(resource.substr(0, slash)),
                              std::string(resource.substr(slash + 1))};
}

std::optional<model::ObjectId> marked_object(std::string_view mark) {
    if (!mark.starts_with(prefix)) return std::nullopt;
    const std::size_t stack_end = mark.find(':', prefix.size());
    if (stack_end == std::string_view::npos) return std::nullopt;
    const std::size_t resource_end = mark.find(':', stack_end + 1);
    if (resource_end == std::string_view::npos) return std::nullopt;
    return model::ObjectId::parse(mark.substr(resource_end + 1));
}

}  // namespace ctl::drivers
