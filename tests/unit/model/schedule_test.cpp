#include <doctest/doctest.h>

#include <cstdlib>
#include <ctime>
#include <string>

#include "model/schedule.h"
#include "model/snapshot_name.h"

using ctl::model::Expiry;
using ctl::model::is_snapshot_pattern;
using ctl::model::name_by_pattern;
using ctl::model::Schedule;

namespace {

void live_in(const char* zone) {
    ::setenv("TZ", zone, 1);
    ::tzset();
}

/// "2026-03-01 10:00" where we live.
std::time_t at(const std::string& text) {
    std::tm parts{};
    CHECK(::strptime(text.c_str(), "%Y-%m-%d %H:%M", &parts) != nullptr);
    parts.tm_isdst = -1;
    return ::mktime(&parts);
}

std::string text_of(std::time_t when) {
    std::tm parts{};
    ::localtime_r(&when, &parts);
    std::string text(16, ' ');
    text.resize(std::strftime(text.data(), text.size() + 1, "%Y-%m-%d %H:%M", &parts));
    return text;
}

std::string next(const std::string& schedule, const std::string& after) {
    const auto parsed = Schedule::parse(schedule);
    REQUIRE_MESSAGE(parsed.has_value(), schedule);
    const auto when = parsed->next(at(after));
    return when ? text_of(*when) : "never";
}

}  // namespace

TEST_CASE("a schedule names the minutes that its five fields name") {
    live_in("UTC0");
    // A Wednesday.
    CHECK(next("* * * * *", "2026-03-04 10:00") == "2026-03-04 10:01");
    CHECK(next("*/20 * * * *", "2026-03-04 10:00") == "2026-03-04 10:20");
    CHECK(next("*/20 * * * *", "2026-03-04 10:40") == "2026-03-04 11:00");
    CHECK(next("5,50-55/5 8-9 * * *", "2026-03-04 09:50") == "2026-03-04 09:55");
    CHECK(next("5,50-55/5 8-9 * * *", "2026-03-04 09:55") == "2026-03-05 08:05");
    CHECK(next("30/15 * * * *", "2026-03-04 10:31") == "2026-03-04 10:45");
    CHECK(next("0 0 1 * *", "2026-12-31 23:59") == "2027-01-01 00:00");
    CHECK(next("0 6 * * mon-fri", "2026-03-06 06:00") == "2026-03-09 06:00");
    CHECK(next("0 6 * * 7", "2026-03-04 10:00") == "2026-03-08 06:00");
    CHECK(next("0 6 * Feb *", "2026-03-04 10:00") == "2027-02-01 06:00");
    CHECK(next("59 23 31 12 *", "2026-03-04 10:00") == "2026-12-31 23:59");
    CHECK(next("0 0 29 2 *", "2026-03-04 10:00") == "2028-02-29 00:00");
    CHECK(next("0 0 30 2 *", "2026-03-04 10:00") == "never");
}

TEST_CASE("where both the day and the weekday are restricted, either will do") {
    live_in("UTC0");
    CHECK(next("0 0 20 * sun", "2026-03-15 00:00") == "2026-03-20 00:00");
    CHECK(next("0 0 20 * sun", "2026-03-20 00:00") == "2026-03-22 00:00");
}

TEST_CASE("words stand for schedules, and several may be given") {
    live_in("UTC0");
    CHECK(next("@hourly", "2026-03-04 10:00") == "2026-03-04 11:00");
    CHECK(next("@daily", "2026-03-04 10:00") == "2026-03-05 00:00");
    CHECK(next("@midnight", "2026-03-04 10:00") == "2026-03-05 00:00");
    CHECK(next("@weekly", "2026-03-04 10:00") == "2026-03-08 00:00");
    CHECK(next("@monthly", "2026-03-04 10:00") == "2026-04-01 00:00");
    CHECK(next("@yearly", "2026-03-04 10:00") == "2027-01-01 00:00");
    CHECK(next("@annually", "2026-03-04 10:00") == "2027-01-01 00:00");
    CHECK(next("@monthly, @weekly", "2026-03-30 10:00") == "2026-04-01 00:00");
    CHECK(next("@never", "2026-03-04 10:00") == "never");
}

TEST_CASE("what is no schedule is none") {
    for (const char* text : {"", "* * * *", "* * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *",
                             "* * * * 8", "5-1 * * * *", "*/0 * * * *", "*/99999999999 * * * *", "-1 * * * *", "a * * * *",
                             "1,,2 * * * *", "@startup", "@daily,", "@daily,0 0 * * *", "* * * jan-13 *"})
        CHECK_MESSAGE(!Schedule::parse(text).has_value(), text);
}

TEST_CASE("a schedule always goes on in time where clocks are set") {
    live_in("CET-1CEST,M3.5.0,M10.5.0/3");
    // 02:00 becomes 03:00.
    CHECK(next("30 2 * * *", "2026-03-28 10:00") == "2026-03-30 02:30");
    CHECK(next("@hourly", "2026-03-29 01:59") == "2026-03-29 03:00");
    CHECK(next("@daily", "2026-03-29 10:00") == "2026-03-30 00:00");
    CHECK(next("@daily", "2026-10-25 00:00") == "2026-10-26 00:00");
    // 03:00 becomes 02:00: every time is later than the one before.
    const auto schedule = *Schedule::parse("*/30 * * * *");
    std::time_t when = at("2026-10-25 01:00");
    for (int i = 0; i < 8; ++i) {
        const auto following = schedule.next(when);
        REQUIRE(following.has_value());
        CHECK(*following - when == 1800);
        when = *following;
    }
    live_in("UTC0");
}

TEST_CASE("an expiry is counted by the calendar") {
    live_in("UTC0");
    const auto after = [](const char* text, const char* made) {
        const auto expiry = Expiry::parse(text);
        REQUIRE_MESSAGE(expiry.has_value(), text);
        return text_of(expiry->after(at(made)));
    };
    CHECK(after("30M", "2026-03-04 10:00") == "2026-03-04 10:30");
    CHECK(after("1w 12H", "2026-03-04 10:00") == "2026-03-11 22:00");
    CHECK(after("24h", "2026-03-04 10:00") == "2026-03-05 10:00");
    CHECK(after("1w 1d", "2026-03-04 10:00") == "2026-03-12 10:00");
    CHECK(after("1m", "2026-02-04 10:00") == "2026-03-04 10:00");
    CHECK(after("1y 1m", "2026-12-04 10:00") == "2028-01-04 10:00");
    CHECK(after("0M", "2026-12-04 10:00") == "2026-12-04 10:00");
    for (const char* text : {"", " ", "1", "d", "-1d", "1.5d", "1D", "1d 2d", "1H 2h", "9999999d", "1d,2H", "300y"})
        CHECK_MESSAGE(!Expiry::parse(text).has_value(), text);
}

TEST_CASE("a pattern names snapshots by number and by date") {
    live_in("UTC0");
    const std::time_t made = at("2026-02-04 15:06");
    CHECK(name_by_pattern("snap%d", made, {}) == "snap0");
    CHECK(name_by_pattern("snap%d", made, {"snap0", "snap7", "snap", "snapshot9", "other12"}) == "snap8");
    CHECK(name_by_pattern("a%db", made, {"a3b", "a5", "ab"}) == "a4b");
    CHECK(name_by_pattern("{{ creation_date }}", made, {}) == "2026-02-04_15-06-00");
    CHECK(name_by_pattern("{{creation_date|date:'20060102'}}-%d", made, {"20260204-1", "20260203-8"}) == "20260204-2");
    CHECK(name_by_pattern("{{ creation_date | date:\"Mon-02-Jan-06_15.04.05\" }}", made, {}) == "Wed-04-Feb-26_15.06.00");
    CHECK(name_by_pattern("nightly", made, {}) == "nightly");
    CHECK(name_by_pattern("nightly", made, {"nightly"}) == "nightly-0");
    CHECK(name_by_pattern("nightly", made, {"nightly", "nightly-0"}) == "nightly-1");
}

TEST_CASE("a pattern that could give what is no name is none") {
    for (const char* text : {"snap%d", "nightly", "{{ creation_date }}", "x-{{ creation_date|date:'2006-01-02' }}-%d"})
        CHECK_MESSAGE(is_snapshot_pattern(text), text);
    for (const char* text :
         {"", "%d%d", "a/b", "../x", ".x", "-x", "a b", "{{ name }}", "{{ creation_date", "a@b",
          "{{ creation_date|date:'2006/01/02' }}", "{{ creation_date|upper }}", "{{ creation_date|date:'' }}"})
        CHECK_MESSAGE(!is_snapshot_pattern(text), text);
}
