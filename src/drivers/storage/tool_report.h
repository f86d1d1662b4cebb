#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace ctl::drivers::storage {

using ReportRow = std::map<std::string, std::string, std::less<>>;

/// The objects in a tool's JSON that are in lists called `list` (anywhere; "" for the document itself), with their texts,
/// numbers and truth values as texts; those of an object in one as "parent.image". Nothing printed is no rows. Errors:
/// invalid.
[[nodiscard]] Result<std::vector<ReportRow>> report_rows(std::string_view json, std::string_view list);

/// A field of a row; empty without it.
[[nodiscard]] std::string field_of(const ReportRow& row, std::string_view name);
/// The same as a number of bytes; 0 for what is none.
[[nodiscard]] std::int64_t bytes_of(const ReportRow& row, std::string_view name);

}  // namespace ctl::drivers::storage
