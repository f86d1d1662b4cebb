#include "reconcile/utc.h"

#include <fmt/format.h>

#include <ctime>

namespace ctl::reconcile {

std::string utc_text(std::chrono::system_clock::time_point time) {
    const auto since_epoch = std::chrono::floor<std::chrono::milliseconds>(time.time_since_epoch());
    const auto seconds = std::chrono::floor<std::chrono::seconds>(since_epoch);
    const std::time_t when = seconds.count();
    std::tm parts{};
    gmtime_r(&when, &parts);
    return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday,
                       parts.tm_hour, parts.tm_min, parts.tm_sec, (since_epoch - seconds).count());
}

}  // namespace ctl::reconcile
