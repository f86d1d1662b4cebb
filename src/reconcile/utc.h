#pragma once

#include <chrono>
#include <optional>
#include <string>

namespace ctl::reconcile {

/// "2026-01-31T12:00:00.123Z": sorts as it reads.
[[nodiscard]] std::string utc_text(std::chrono::system_clock::time_point time);
/// The reverse; parts of a second may be missing.
[[nodiscard]] std::optional<std::chrono::system_clock::time_point> parse_utc(const std::string& text);

}  // namespace ctl::reconcile
