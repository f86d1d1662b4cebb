#pragma once

#include <bitset>
#include <ctime>
#include <optional>
#include <string_view>
#include <vector>

// When things recur and how long they are kept, in LXD's words. Pure: the time is always given. Days and hours are those of
// the time zone of the process.

namespace ctl::model {

/// When something recurs: five fields of cron (minute, hour, day, month, day of the week), or words such as @daily with
/// commas between them.
class Schedule {
public:
    [[nodiscard]] static std::optional<Schedule> parse(std::string_view text);

    /// The first minute after `after` that it names; nothing if there is none in eight years.
    [[nodiscard]] std::optional<std::time_t> next(std::time_t after) const;

private:
    struct Line {
        std::bitset<60> minutes;
        std::bitset<24> hours;
        std::bitset<32> days;
        std::bitset<13> months;
        std::bitset<7> weekdays;
        bool any_day = false;
        bool any_weekday = false;

        [[nodiscard]] bool has_day(const std::tm& when) const;
        [[nodiscard]] std::optional<std::time_t> next(std::time_t after) const;
    };
    [[nodiscard]] static std::optional<Line> parse_line(std::string_view text);

    std::vector<Line> lines_;
};

/// How long something is kept: numbers with M (minutes), H or h, d, w, m (months) and y, blanks between them: "1w 12H".
struct Expiry {
    int minutes = 0;
    int hours = 0;
    int days = 0;
    int months = 0;
    int years = 0;

    [[nodiscard]] static std::optional<Expiry> parse(std::string_view text);
    /// When something that was made then ends.
    [[nodiscard]] std::time_t after(std::time_t made) const;
};

}  // namespace ctl::model
