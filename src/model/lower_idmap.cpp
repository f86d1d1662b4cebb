#include <fmt/format.h>

#include "base/text.h"
#include "model/lower_instance.h"
#include "model/value_types.h"

namespace ctl::model {

namespace {

/// (uid_t) -1 is nobody's.
constexpr std::int64_t last_id = 4'294'967'294;

std::optional<std::int64_t> number(const Config& config, std::string_view key, Places& places) {
    const Value* value = find_value(config, key);
    if (value == nullptr) return std::nullopt;
    places["idmap"] = value->where;
    return parse_uint(value->text, last_id);
}

std::string wanted_idmap(Lowering& lowering, const resource::Container& container, Places& places) {
    const Config& config = container.config;
    if (const Value* value = find_value(config, "security.privileged")) places["idmap"] = value->where;
    if (bool_value(config, "security.privileged", false)) return "none";
    const std::int64_t count = number(config, "security.idmap.size", places).value_or(default_id_count);
    const auto base = number(config, "security.idmap.base", places);
    const bool isolated = bool_value(config, "security.idmap.isolated", false);
    if (isolated) places["idmap"] = find_value(config, "security.idmap.isolated")->where;
    const std::int64_t first = base       ? *base
                               : isolated ? lowering.allocator.id_range("ids/" + container.name.text, count)
                                          : default_first_id;
    if (count == 0 || first == 0 || first > last_id - count) {
        lowering.diagnostics.error(
            "bad-idmap",
            fmt::format("container {} can't have {} ids of the host from {} on", quoted(container.name.text), count, first),
            places["idmap"], "set security.idmap.size to 65536, or another security.idmap.base");
    }
    return fmt::format("0:{}:{}", first, count);
}

}  // namespace

std::string lower_idmap(Lowering& lowering, const resource::Container& container, Places& places) {
    std::string idmap = wanted_idmap(lowering, container, places);
    if (!bool_value(container.config, "security.protection.shift", false)) return idmap;
    const std::string before = lowering.allocator.kept("protected-ids/" + container.name.text, idmap);
    if (before != idmap)
        lowering.diagnostics.error(
            "protected-shift",
            fmt::format("the ids of container {} would change from {} to {}, and security.protection.shift is set",
                        quoted(container.name.text), before, idmap),
            places["idmap"], "undo the change, or first apply security.protection.shift: false");
    return idmap;
}

}  // namespace ctl::model
