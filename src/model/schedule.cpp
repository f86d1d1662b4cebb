#include "model/schedule.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <span>
#include <string>
#include <utility>

#include "base/text.h"
#include "model/value_types.h"

namespace ctl::model {

namespace {

constexpr std::time_t minute = 60;
constexpr std::time_t hour = 60 * minute;
/// The 29th of February is not farther away.
constexpr std::time_t horizon = std::time_t{8} * 366 * 24 * hour;

constexpr std::array<std::pair<std::string_view, std::string_view>, 7> words{{{"@hourly", "0 * * * *"},
                                                                              {"@daily", "0 0 * * *"},
                                                                              {"@midnight", "0 0 * * *"},
                                                                              {"@weekly", "0 0 * * 0"},
                                                                              {"@monthly", "0 0 1 * *"},
                                                                              {"@annually", "0 0 1 1 *"},
                                                                              {"@yearly", "0 0 1 1 *"}}};
constexpr int largest_count = 1'000'000;
/// The clock that counts them, std::chrono::system_clock of libstdc++, ends in the year 2262.
constexpr std::time_t longest = std::time_t{200} * 366 * 24 * hour;

constexpr std::array<std::string_view, 7> weekday_names{"sun", "mon", "tue", "wed", "thu", "fri", "sat"};
constexpr std::array<std::string_view, 12> month_names{"jan", "feb", "mar", "apr", "may", "jun",
                                                       "jul", "aug", "sep", "oct", "nov", "dec"};

struct Range {
    int least;
    int most;
};

template <std::size_t Bits>
struct Field {
    std::bitset<Bits> values;
    bool is_any = false;  ///< it was a star
};

std::optional<int> number_in(std::string_view text, Range range) {
    const auto number = parse_int(text, range.least, range.most);
    return number ? std::optional(static_cast<int>(*number)) : std::nullopt;
}

/// A number, or the name that stands for one: the first for `first`.
std::optional<int> value_in(std::string_view text, Range range, std::span<const std::string_view> names, int first) {
    std::string lower(text);
    std::transform(lower.begin(), lower.end(), lower.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    const auto name = std::find(names.begin(), names.end(), lower);
    return name == names.end() ? number_in(text, range) : first + static_cast<int>(name - names.begin());
}

/// "*", "5", "1-5", "*/10", "1-20/5", and lists of these.
template <std::size_t Bits>
std::optional<Field<Bits>> read_field(std::string_view text, Range range, std::span<const std::string_view> names = {},
                                      int first = 0) {
    Field<Bits> field;
    for (const auto part : split(text, ',')) {
        const std::size_t slash = part.find('/');
        const std::string_view span = part.substr(0, slash);
        const bool has_step = slash != std::string_view::npos;
        const auto step = has_step ? number_in(part.substr(slash + 1), {1, range.most}) : std::optional(1);
        if (!step) return std::nullopt;
        Range chosen = range;
        if (span == "*") {
            field.is_any = true;
        } else {
            const std::size_t dash = span.find('-');
            const auto from = value_in(span.substr(0, dash), range, names, first);
            const auto to = dash == std::string_view::npos ? from : value_in(span.substr(dash + 1), range, names, first);
            if (!from || !to || *from > *to) return std::nullopt;
            chosen = {*from, has_step && dash == std::string_view::npos ? range.most : *to};
        }
        // Sunday is 0 and 7.
        for (int i = chosen.least; i <= chosen.most; i += *step) field.values.set(static_cast<std::size_t>(i) % Bits);
    }
    return field;
}

std::tm local(std::time_t when) {
    std::tm parts{};
    ::localtime_r(&when, &parts);
    return parts;
}

}  // namespace

std::optional<Schedule::Line> Schedule::parse_line(std::string_view text) {
    auto fields = split(text, ' ');
    std::erase(fields, "");
    if (fields.size() != 5) return std::nullopt;
    const auto minutes = read_field<60>(fields[0], {0, 59});
    const auto hours = read_field<24>(fields[1], {0, 23});
    const auto days = read_field<32>(fields[2], {1, 31});
    const auto months = read_field<13>(fields[3], {1, 12}, month_names, 1);
    const auto weekdays = read_field<7>(fields[4], {0, 7}, weekday_names, 0);
    if (!minutes || !hours || !days || !months || !weekdays) return std::nullopt;
    return Line{minutes->values,  hours->values, days->values,    months->values,
                weekdays->values, days->is_any,  weekdays->is_any};
}

std::optional<Schedule> Schedule::parse(std::string_view text) {
    Schedule schedule;
    text = trimmed(text);
    if (!text.starts_with('@')) {
        const auto line = parse_line(text);
        if (!line) return std::nullopt;
        schedule.lines_.push_back(*line);
        return schedule;
    }
    for (const auto part : split(text, ',')) {
        if (trimmed(part) == "@never") continue;
        const auto word = std::find_if(words.begin(), words.end(), [&](const auto& w) { return w.first == trimmed(part); });
        if (word == words.end()) return std::nullopt;
        schedule.lines_.push_back(*parse_line(word->second));
    }
    return schedule;
}

bool Schedule::Line::has_day(const std::tm& when) const {
    if (!months.test(static_cast<std::size_t>(when.tm_mon) + 1)) return false;
    const bool day = days.test(static_cast<std::size_t>(when.tm_mday));
    const bool weekday = weekdays.test(static_cast<std::size_t>(when.tm_wday));
    // As cron has it: where both are restricted, either will do.
    return any_day || any_weekday ? day && weekday : day || weekday;
}

std::optional<std::time_t> Schedule::Line::next(std::time_t after) const {
    // By steps of seconds, never by days of the calendar: where clocks are set back an hour comes twice.
    for (std::time_t when = after - after % minute + minute; when - after < horizon;) {
        const std::tm parts = local(when);
        const std::time_t next_hour = when + minute * (60 - parts.tm_min);
        if (!has_day(parts)) when = next_hour + hour * std::max(0, 22 - parts.tm_hour);
        else if (!hours.test(static_cast<std::size_t>(parts.tm_hour))) when = next_hour;
        else if (!minutes.test(static_cast<std::size_t>(parts.tm_min))) when += minute;
        else return when;
    }
    return std::nullopt;
}

std::optional<std::time_t> Schedule::next(std::time_t after) const {
    std::optional<std::time_t> first;
    for (const auto& line : lines_)
        if (const auto when = line.next(after); when && (!first || *when < *first)) first = when;
    return first;
}

std::optional<Expiry> Expiry::parse(std::string_view text) {
    Expiry expiry;
    std::string units;
    for (const auto part : split(text, ' ')) {
        if (part.empty()) continue;
        const auto number = number_in(part.substr(0, part.size() - 1), {0, largest_count});
        const char unit = part.back() == 'h' ? 'H' : part.back();
        if (!number || units.find(unit) != std::string::npos) return std::nullopt;
        switch (unit) {
            case 'M': expiry.minutes = *number; break;
            case 'H': expiry.hours = *number; break;
            case 'd': expiry.days += *number; break;
            case 'w': expiry.days += 7 * *number; break;
            case 'm': expiry.months = *number; break;
            case 'y': expiry.years = *number; break;
            default: return std::nullopt;
        }
        units += unit;
    }
    return units.empty() || expiry.after(0) > longest ? std::nullopt : std::optional(expiry);
}

std::time_t Expiry::after(std::time_t made) const {
    std::tm parts = local(made);
    parts.tm_year += years;
    parts.tm_mon += months;
    parts.tm_mday += days;
    parts.tm_isdst = -1;
    return ::mktime(&parts) + hour * hours + minute * minutes;
}

}  // namespace ctl::model
