#include "model/limit_values.h"

#include <algorithm>
#include <array>
#include <set>

#include <fmt/format.h>

#include "base/text.h"
#include "model/value_types.h"

namespace ctl::model {

namespace {

constexpr std::int64_t milliseconds = 1000;
/// What any kernel may have at most; beyond it a list only grows.
constexpr std::int64_t last_node = 1023;

constexpr std::array<std::string_view, 16> resources{"as",      "core",     "cpu",        "data",   "fsize", "locks",
                                                     "memlock", "msgqueue", "nice",       "nofile", "nproc", "rss",
                                                     "rtprio",  "rttime",   "sigpending", "stack"};

std::optional<std::int64_t> parse_milliseconds(std::string_view text) {
    if (!text.ends_with("ms")) return std::nullopt;
    return parse_int(text.substr(0, text.size() - 2), 1, 1'000'000);
}

std::optional<std::string_view> parse_one_limit(std::string_view text) {
    return text == "unlimited" || parse_uint(text) ? std::optional(text) : std::nullopt;
}

}  // namespace

std::optional<CpuAllowance> parse_cpu_allowance(std::string_view text) {
    if (text.ends_with('%')) {
        const auto percent = parse_int(text.substr(0, text.size() - 1), 1, 1000);
        return percent ? std::optional(CpuAllowance{.percent = *percent}) : std::nullopt;
    }
    const std::size_t slash = text.find('/');
    if (slash == std::string_view::npos) return std::nullopt;
    const auto quota = parse_milliseconds(text.substr(0, slash));
    const auto period = parse_milliseconds(text.substr(slash + 1));
    if (!quota || !period || *period > 1000) return std::nullopt;
    return CpuAllowance{.quota = *quota * milliseconds, .period = *period * milliseconds};
}

std::optional<std::int64_t> parse_percent(std::string_view text) {
    return text.ends_with('%') ? parse_int(text.substr(0, text.size() - 1), 1, 100) : std::nullopt;
}

std::optional<std::string> parse_disk_limit(std::string_view text) {
    constexpr std::string_view operations = "iops";
    const bool counts = text.ends_with(operations);
    const auto number = counts ? parse_uint(text.substr(0, text.size() - operations.size())) : parse_size(text);
    if (!number || *number == 0) return std::nullopt;
    return fmt::format("{}{}", *number, counts ? operations : "");
}

std::optional<std::string> parse_memory_nodes(std::string_view text) {
    std::set<unsigned> nodes;
    for (const auto member : parse_list(text)) {
        const std::size_t dash = member.find('-');
        const auto first = parse_uint(member.substr(0, dash), last_node);
        const auto last = dash == std::string_view::npos ? first : parse_uint(member.substr(dash + 1), last_node);
        if (!first || !last || *last < *first) return std::nullopt;
        for (auto node = *first; node <= *last; ++node) nodes.insert(static_cast<unsigned>(node));
    }
    if (nodes.empty()) return std::nullopt;
    return CpuLimit{0, {nodes.begin(), nodes.end()}}.list();
}

std::optional<std::string> parse_resource_limit(std::string_view text) {
    const std::size_t colon = text.find(':');
    const auto soft = parse_one_limit(text.substr(0, colon));
    const auto hard = colon == std::string_view::npos ? soft : parse_one_limit(text.substr(colon + 1));
    if (!soft || !hard) return std::nullopt;
    if (*hard != "unlimited" && (*soft == "unlimited" || *parse_uint(*soft) > *parse_uint(*hard))) return std::nullopt;
    return fmt::format("{}:{}", *soft, *hard);
}

bool is_limited_resource(std::string_view name) {
    return std::find(resources.begin(), resources.end(), name) != resources.end();
}

std::string_view nearest_limited_resource(std::string_view name) { return nearest(name, resources); }

}  // namespace ctl::model
