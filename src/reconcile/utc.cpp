#include "reconcile/utc.h"

#include <fmt/format.h>

#include <ctime>
#include <string_view>

namespace ctl::reconcile {

namespace {

/// The last whole one that system_clock of libstdc++ counts.
constexpr int last_year = 2261;

}  // namespace

std::string utc_text(std::chrono::system_clock::time_point time) {
    const auto since_epoch = std::chrono::floor<std::chrono::milliseconds>(time.time_since_epoch());
    const auto seconds = std::chrono::floor<std::chrono::seconds>(since_epoch);
    const std::time_t when = seconds.count();
    std::tm parts{};
    gmtime_r(&when, &parts);
    return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday,
                       parts.tm_hour, parts.tm_min, parts.tm_sec, (since_epoch - seconds).count());
}

std::optional<std::chrono::system_clock::time_point> parse_utc(const std::string& text) {
    std::tm parts{};
    const char* rest = ::strptime(text.c_str(), "%Y-%m-%dT%H:%M:%S", &parts);
    if (rest == nullptr) return std::nullopt;
    std::chrono::milliseconds more{0};
    if (*rest == '.') {
        const auto* dot = rest++;
        for (long unit = 100; *rest >= '0' && *rest <= '9'; ++rest, unit /= 10)
            more += std::chrono::milliseconds(unit * (*rest - '0'));
        if (rest == dot + 1) return std::nullopt;
    }
    if (std::string_view(rest) != "Z" || parts.tm_year + 1900 > last_year) return std::nullopt;
    return std::chrono::system_clock::from_time_t(::timegm(&parts)) + more;
}

}  // namespace ctl::reconcile
