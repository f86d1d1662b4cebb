#pragma once

#include <chrono>
#include <string>

namespace ctl::reconcile {

/// "2026-01-31T12:00:00.123Z": sorts as it reads.
[[nodiscard]] std::string utc_text(std::chrono::system_clock::time_point time);

}  // namespace ctl::reconcile
