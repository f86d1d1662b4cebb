#include "model/snapshot_name.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include <fmt/format.h>

#include "base/text.h"

namespace ctl::model {

namespace {

constexpr std::size_t longest_name = 63;
constexpr std::string_view usual_date = "2006-01-02_15-04-05";
constexpr std::string_view number_mark = "%d";

/// Go writes a layout as the date Mon Jan 2 15:04:05 2006 would look; beside each of its parts strftime's. Where one begins
/// as another does, the longer comes first.
constexpr std::array<std::pair<std::string_view, const char*>, 15> date_parts{{{"January", "%B"},
                                                                               {"Jan", "%b"},
                                                                               {"Monday", "%A"},
                                                                               {"Mon", "%a"},
                                                                               {"MST", "%Z"},
                                                                               {"-0700", "%z"},
                                                                               {"2006", "%Y"},
                                                                               {"01", "%m"},
                                                                               {"02", "%d"},
                                                                               {"03", "%I"},
                                                                               {"04", "%M"},
                                                                               {"05", "%S"},
                                                                               {"06", "%y"},
                                                                               {"15", "%H"},
                                                                               {"PM", "%p"}}};

std::string date_text(std::string_view layout, std::time_t when) {
    std::tm parts{};
    ::localtime_r(&when, &parts);
    std::string text;
    while (!layout.empty()) {
        const auto* part = std::find_if(date_parts.begin(), date_parts.end(),
                                        [&](const auto& known) { return layout.starts_with(known.first); });
        if (part == date_parts.end()) {
            text += layout.front();
            layout.remove_prefix(1);
            continue;
        }
        std::array<char, 64> buffer{};
        text.append(buffer.data(), std::strftime(buffer.data(), buffer.size(), part->second, &parts));
        layout.remove_prefix(part->first.size());
    }
    return text;
}

/// The layout that the inside of {{ }} asks for. Nothing for what isn't creation_date.
std::optional<std::string_view> layout_of(std::string_view inside) {
    constexpr std::string_view known = "creation_date";
    constexpr std::string_view filter = "date:";
    inside = trimmed(inside);
    if (!inside.starts_with(known)) return std::nullopt;
    inside = trimmed(inside.substr(known.size()));
    if (inside.empty()) return usual_date;
    if (!inside.starts_with('|')) return std::nullopt;
    inside = trimmed(inside.substr(1));
    if (!inside.starts_with(filter)) return std::nullopt;
    inside = trimmed(inside.substr(filter.size()));
    const bool is_quoted =
        inside.size() > 2 && (inside.front() == '\'' || inside.front() == '"') && inside.back() == inside.front();
    return is_quoted ? std::optional(inside.substr(1, inside.size() - 2)) : std::nullopt;
}

/// The pattern with its dates written out. Nothing when there is something in {{ }} that nobody knows.
std::optional<std::string> with_dates(std::string_view pattern, std::time_t made) {
    std::string text;
    while (true) {
        const std::size_t open = pattern.find("{{");
        if (open == std::string_view::npos) return text + std::string(pattern);
        const std::size_t close = pattern.find("}}", open);
        if (close == std::string_view::npos) return std::nullopt;
        const auto layout = layout_of(pattern.substr(open + 2, close - open - 2));
        if (!layout) return std::nullopt;
        text += pattern.substr(0, open);
        text += date_text(*layout, made);
        pattern.remove_prefix(close + 2);
    }
}

/// The number after the highest among names of this form, as LXD counts: none is used twice while the newest is kept.
unsigned long next_number(std::string_view before, std::string_view after, const std::vector<std::string>& taken) {
    unsigned long next = 0;
    for (const std::string_view name : taken) {
        if (name.size() <= before.size() + after.size() || !name.starts_with(before) || !name.ends_with(after)) continue;
        unsigned long number = 0;
        const char* end = name.data() + name.size() - after.size();
        const auto read = std::from_chars(name.data() + before.size(), end, number);
        if (read.ec == std::errc() && read.ptr == end) next = std::max(next, number + 1);
    }
    return next;
}

}  // namespace

bool is_snapshot_name(std::string_view text) {
    const auto is_good = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
               c == '.';
    };
    return !text.empty() && text.size() <= longest_name && text.front() != '.' && text.front() != '-' &&
           !text.starts_with(deleted_prefix) && std::all_of(text.begin(), text.end(), is_good);
}

bool is_snapshot_pattern(std::string_view text) {
    const std::size_t first = text.find(number_mark);
    if (first != std::string_view::npos && text.find(number_mark, first + 1) != std::string_view::npos) return false;
    return with_dates(text, 0) && is_snapshot_name(name_by_pattern(text, 0, {}));
}

std::string name_by_pattern(std::string_view pattern, std::time_t made, const std::vector<std::string>& taken) {
    std::string text = with_dates(pattern, made).value_or(std::string(pattern));
    if (text.find(number_mark) == std::string::npos) {
        if (std::find(taken.begin(), taken.end(), text) == taken.end()) return text;
        text += fmt::format("-{}", number_mark);
    }
    const std::size_t hole = text.find(number_mark);
    const std::string_view before = std::string_view(text).substr(0, hole);
    const std::string_view after = std::string_view(text).substr(hole + number_mark.size());
    return fmt::format("{}{}{}", before, next_number(before, after, taken), after);
}

}  // namespace ctl::model
