#include <algorithm>
#include <cstdint>

#include <fmt/format.h>

#include "base/text.h"
#include "model/lower_instance.h"
#include "model/lowering.h"
#include "model/value_types.h"

namespace ctl::model {

namespace {

bool is_module_name(std::string_view name) {
    return !name.empty() && name.size() < 64 && name.front() != '-' && std::all_of(name.begin(), name.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
    });
}

void lower_modules(const Config& config, Container& object, Places& places, Diagnostics& diagnostics) {
    const Value* modules = find_value(config, "linux.kernel_modules");
    if (modules == nullptr) return;
    std::vector<std::string> names;
    for (const auto name : parse_list(modules->text)) {
        if (is_module_name(name)) names.emplace_back(name);
        else
            diagnostics.error("bad-module", fmt::format("{} is no name of a kernel module", quoted(name)), modules->where,
                              "write them with commas between: ip_tables,overlay");
    }
    object.kernel_modules = std::move(names);
    places["kernel_modules"] = modules->where;
}

}  // namespace

void lower_boot(const Config& config, Container& object, Places& places, Diagnostics& diagnostics) {
    lower_modules(config, object, places, diagnostics);
    const auto set = [&](std::string_view key, std::string_view field, auto& member, auto parse) {
        const Value* value = find_value(config, key);
        if (value == nullptr) return;
        member = parse(value->text);
        places[std::string(field)] = value->where;
    };
    const auto number = [](std::string_view text) { return parse_uint(text); };
    set("boot.autostart", "autostart", object.autostart, parse_bool);
    set("boot.autostart.priority", "autostart_priority", object.autostart_priority, number);
    set("boot.autostart.delay", "autostart_delay", object.autostart_delay, number);
    set("boot.stop.priority", "stop_priority", object.stop_priority,
        [](std::string_view text) { return parse_int(text, INT32_MIN, INT32_MAX); });
    set("boot.host_shutdown_timeout", "stop_timeout", object.stop_timeout, number);
}

}  // namespace ctl::model
