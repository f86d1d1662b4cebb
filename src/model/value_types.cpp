#include "model/value_types.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <span>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"

namespace ctl::model {

namespace {

constexpr std::size_t longest_name = 63;
constexpr std::int64_t highest_cpu = 8191;  // the kernel's largest NR_CPUS

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

std::string lowered(std::string_view text) {
    std::string out(text);
    std::transform(out.begin(), out.end(), out.begin(), lower);
    return out;
}

int hex_digit(char c) {
    if (is_digit(c)) return c - '0';
    const char low = lower(c);
    return low >= 'a' && low <= 'f' ? low - 'a' + 10 : -1;
}

bool consists_of(std::string_view text, std::string_view extra) {
    return std::all_of(text.begin(), text.end(),
                       [&](char c) { return is_digit(c) || is_letter(c) || extra.find(c) != std::string_view::npos; });
}

using Units = std::span<const std::pair<std::string_view, std::int64_t>>;

constexpr std::array<std::pair<std::string_view, std::int64_t>, 15> byte_units{{
    {"", 1},
    {"B", 1},
    {"bytes", 1},
    {"kB", 1'000},
    {"MB", 1'000'000},
    {"GB", 1'000'000'000},
    {"TB", 1'000'000'000'000},
    {"PB", 1'000'000'000'000'000},
    {"EB", 1'000'000'000'000'000'000},
    {"KiB", std::int64_t{1} << 10},
    {"MiB", std::int64_t{1} << 20},
    {"GiB", std::int64_t{1} << 30},
    {"TiB", std::int64_t{1} << 40},
    {"PiB", std::int64_t{1} << 50},
    {"EiB", std::int64_t{1} << 60},
}};

constexpr std::array<std::pair<std::string_view, std::int64_t>, 14> bit_units{{
    {"", 1},
    {"bit", 1},
    {"kbit", 1'000},
    {"Mbit", 1'000'000},
    {"Gbit", 1'000'000'000},
    {"Tbit", 1'000'000'000'000},
    {"Pbit", 1'000'000'000'000'000},
    {"Ebit", 1'000'000'000'000'000'000},
    {"Kibit", std::int64_t{1} << 10},
    {"Mibit", std::int64_t{1} << 20},
    {"Gibit", std::int64_t{1} << 30},
    {"Tibit", std::int64_t{1} << 40},
    {"Pibit", std::int64_t{1} << 50},
    {"Eibit", std::int64_t{1} << 60},
}};

/// A number and its unit, multiplied; nothing if there is no such unit or it gets too big.
std::optional<std::int64_t> scaled(std::string_view number, std::string_view unit, Units units) {
    const auto value = parse_uint(number);
    const auto known = std::find_if(units.begin(), units.end(), [&](const auto& item) { return item.first == unit; });
    std::int64_t result = 0;
    if (!value || known == units.end() || __builtin_mul_overflow(*value, known->second, &result)) return std::nullopt;
    return result;
}

std::size_t leading_digits(std::string_view text) {
    return static_cast<std::size_t>(std::find_if_not(text.begin(), text.end(), is_digit) - text.begin());
}

}  // namespace

std::optional<bool> parse_bool(std::string_view text) {
    const std::string word = lowered(text.substr(0, 6));
    if (word == "true" || word == "1" || word == "yes" || word == "on") return true;
    if (word == "false" || word == "0" || word == "no" || word == "off") return false;
    return std::nullopt;
}

std::optional<std::int64_t> parse_int(std::string_view text, std::int64_t least, std::int64_t most) {
    std::int64_t value = 0;
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, value);
    if (error != std::errc{} || stop != end || value < least || value > most) return std::nullopt;
    return value;
}

std::optional<std::int64_t> parse_uint(std::string_view text, std::int64_t most) { return parse_int(text, 0, most); }

std::optional<std::int64_t> parse_size(std::string_view text) {
    const std::size_t digits = leading_digits(text);
    std::string_view unit = text.substr(digits);
    if (unit.starts_with(' ')) unit.remove_prefix(1);
    return scaled(text.substr(0, digits), unit, byte_units);
}

std::optional<std::int64_t> parse_rate(std::string_view text) {
    const std::size_t digits = leading_digits(text);
    return scaled(text.substr(0, digits), text.substr(digits), bit_units);
}

std::optional<std::string> parse_mac(std::string_view text) {
    if (text.size() != 17) return std::nullopt;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (i % 3 == 2 ? text[i] != ':' : hex_digit(text[i]) < 0) return std::nullopt;
    }
    return lowered(text);
}

std::optional<std::string> parse_unicast_mac(std::string_view text) {
    auto mac = parse_mac(text);
    if (!mac || hex_digit((*mac)[1]) % 2 != 0 || *mac == "00:00:00:00:00:00") return std::nullopt;
    return mac;
}

std::optional<std::int64_t> parse_mtu(std::string_view text) { return parse_int(text, 1280, 16384); }

std::string CpuLimit::list() const {
    std::string out;
    for (std::size_t first = 0; first < cpus.size();) {
        std::size_t last = first;
        while (last + 1 < cpus.size() && cpus[last + 1] == cpus[last] + 1) ++last;
        if (!out.empty()) out += ',';
        out += first == last ? fmt::format("{}", cpus[first]) : fmt::format("{}-{}", cpus[first], cpus[last]);
        first = last + 1;
    }
    return out;
}

std::optional<CpuLimit> parse_cpu_set(std::string_view text) {
    if (text.find_first_of(",-") == std::string_view::npos) {
        const auto count = parse_int(text, 1, highest_cpu + 1);
        if (!count) return std::nullopt;
        return CpuLimit{*count};
    }
    CpuLimit limit;
    for (const auto part : parse_list(text)) {
        const std::size_t dash = part.find('-');
        const auto first = parse_uint(part.substr(0, dash), highest_cpu);
        const auto last = dash == std::string_view::npos ? first : parse_uint(part.substr(dash + 1), highest_cpu);
        if (!first || !last || *first > *last) return std::nullopt;
        for (auto cpu = *first; cpu <= *last; ++cpu) limit.cpus.push_back(static_cast<unsigned>(cpu));
        if (limit.cpus.size() > static_cast<std::size_t>(highest_cpu) + 1) return std::nullopt;
    }
    std::sort(limit.cpus.begin(), limit.cpus.end());
    if (std::adjacent_find(limit.cpus.begin(), limit.cpus.end()) != limit.cpus.end()) return std::nullopt;
    return limit;
}

std::vector<std::string_view> parse_list(std::string_view text) {
    if (trimmed(text).empty()) return {};
    auto members = split(text, ',');
    for (auto& member : members) member = trimmed(member);
    return members;
}

bool is_interface_name(std::string_view text) {
    return text.size() >= 2 && text.size() <= 15 && consists_of(text, "-_.") && text[0] != '-' && text[0] != '.' &&
           text != "all" && text != "default";
}

bool is_instance_name(std::string_view text) {
    return !text.empty() && text.size() <= longest_name && consists_of(text, "-") && is_letter(text.front()) &&
           text.back() != '-';
}

bool is_device_name(std::string_view text) {
    return !text.empty() && text.size() <= longest_name && consists_of(text, "/.-:_") && text[0] != '.';
}

bool is_resource_name(std::string_view text) { return is_profile_name(text) && text.find(' ') == std::string_view::npos; }

bool is_profile_name(std::string_view text) {
    return !text.empty() && text.size() <= longest_name && consists_of(text, "._-+@ ") &&
           consists_of(text.substr(0, 1), "_") && text.back() != ' ';
}

bool is_sha256(std::string_view text) {
    return text.size() == 64 &&
           std::all_of(text.begin(), text.end(), [](char c) { return is_digit(c) || (c >= 'a' && c <= 'f'); });
}

bool is_absolute_path(std::string_view text) {
    if (!text.starts_with('/')) return false;
    if (std::any_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; }))
        return false;
    const auto parts = split(text, '/');
    return std::find(parts.begin(), parts.end(), "..") == parts.end();
}

}  // namespace ctl::model
