#include "cli/counters.h"

#include <array>

#include <fmt/format.h>

namespace ctl::cli {

const drivers::Facts* facts_of(const FactsByObject& facts, const model::ObjectId& id) {
    const auto it = facts.find(id);
    return it != facts.end() ? &it->second : nullptr;
}

std::optional<std::int64_t> number_of(const drivers::Facts* facts, const std::string& name) {
    if (facts == nullptr) return std::nullopt;
    const auto it = facts->find(name);
    const auto* number = it != facts->end() ? std::get_if<std::int64_t>(&it->second) : nullptr;
    return number != nullptr ? std::optional(*number) : std::nullopt;
}

std::string bytes_text(std::int64_t bytes) {
    constexpr std::array units{"B", "kB", "MB", "GB", "TB", "PB"};
    auto value = static_cast<double>(bytes);
    std::size_t unit = 0;
    while (value >= 1000 && unit + 1 < units.size()) {
        value /= 1000;
        ++unit;
    }
    return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.1f} {}", value, units[unit]);
}

std::string traffic(const drivers::Facts* facts, const std::string& direction) {
    const auto bytes = number_of(facts, direction + "_bytes");
    const auto packets = number_of(facts, direction + "_packets");
    return bytes && packets ? fmt::format("{} in {} packets", bytes_text(*bytes), *packets) : "-";
}

}  // namespace ctl::cli
