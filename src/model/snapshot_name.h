#pragma once

#include <ctime>
#include <string>
#include <string_view>
#include <vector>

// What snapshots are called, in LXD's words.

namespace ctl::model {

/// How the names of those snapshots begin that are deleted volumes.
inline constexpr std::string_view deleted_prefix = "deleted-";

/// 1 to 63 letters, digits, '-', '_' and '.', the first neither '-' nor '.', and not the name of a deleted volume. Fit to be
/// a path component.
[[nodiscard]] bool is_snapshot_name(std::string_view text);

/// True for text with %d once at most and no other {{ }} than creation_date, which gives names.
[[nodiscard]] bool is_snapshot_pattern(std::string_view text);

/// The name that a pattern gives beside those that are taken. {{ creation_date }}, with |date:'2006-01-02_15-04-05' in Go's
/// way of writing dates, is when it was made, in the process's time zone; %d is the number after the highest that is taken.
/// Without %d, a name that is taken gets -NUMBER.
[[nodiscard]] std::string name_by_pattern(std::string_view pattern, std::time_t made, const std::vector<std::string>& taken);

}  // namespace ctl::model
