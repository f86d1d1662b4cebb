#include "drivers/lxc/usage.h"

#include <optional>
#include <string_view>

#include "base/text.h"

namespace ctl::drivers::lxc {

namespace {

/// The value of a line "NAME VALUE".
std::optional<std::int64_t> line_value(std::string_view text, std::string_view name) {
    for (const auto line : split(text, '\n'))
        if (line.starts_with(name) && line.substr(name.size()).starts_with(' '))
            return parse_number(trimmed(line.substr(name.size())));
    return std::nullopt;
}

std::optional<std::int64_t> cpu_nanoseconds(const Cgroups& cgroups, const std::string& name) {
    if (const auto old = cgroups.value(name, {"cpuacct", "cpuacct.usage", nullptr}); old) return parse_number(*old);
    // Every directory of the version 2 hierarchy has this file, whether the controller is on it or not.
    const auto stat = cgroups.value(name, {"cpu", "cpu.stat", "cpu.stat"});
    const auto microseconds = stat ? line_value(*stat, "usage_usec") : std::nullopt;
    return microseconds ? std::optional(*microseconds * 1000) : std::nullopt;
}

}  // namespace

Facts usage_of(const Host& host, const std::string& name) {
    Facts facts;
    const auto add = [&](const char* fact, std::optional<std::int64_t> value) {
        if (value) facts.emplace(fact, *value);
    };
    const auto figure = [&](const char* fact, const LimitFile& file) {
        const auto text = host.cgroups.value(name, file);
        add(fact, text ? parse_number(*text) : std::nullopt);
    };
    if (!host.monitors.is_running(name)) return facts;
    if (const pid_t init = host.monitors.init_pid(name); init > 0) add("pid", init);
    figure("processes", {"pids", "pids.current", "pids.current"});
    add("cpu_ns", cpu_nanoseconds(host.cgroups, name));
    figure("memory", {"memory", "memory.usage_in_bytes", "memory.current"});
    figure("memory_peak", {"memory", "memory.max_usage_in_bytes", "memory.peak"});
    return facts;
}

}  // namespace ctl::drivers::lxc
