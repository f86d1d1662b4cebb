#include <fmt/format.h>

#include "model/limit_values.h"
#include "model/lower_instance.h"

namespace ctl::model {

void lower_disk_limits(const resource::Device& disk, const std::string& path, Container& object, Places& places) {
    const Value* both = find_value(disk.keys, "limits.max");
    std::string text;
    for (const auto& [word, key] : {std::pair{"read", "limits.read"}, std::pair{"write", "limits.write"}}) {
        const Value* value = both != nullptr ? both : find_value(disk.keys, key);
        const auto limit = value != nullptr ? parse_disk_limit(value->text) : std::nullopt;
        if (!limit) continue;
        text += fmt::format("{}{}={}", text.empty() ? "" : " ", word, *limit);
        places["disk_limits"] = value->where;
    }
    if (text.empty()) return;
    if (!object.disk_limits) object.disk_limits.emplace();
    std::string& all = (*object.disk_limits)[path];
    all += (all.empty() ? "" : "; ") + text;
}

}  // namespace ctl::model
