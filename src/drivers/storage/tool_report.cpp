#include "drivers/storage/tool_report.h"

#include <rapidjson/document.h>

#include <charconv>

#include "base/text.h"

namespace ctl::drivers::storage {

namespace {

/// Deeper than any tool nests.
constexpr int most_depth = 8;

void add_fields(const rapidjson::Value& object, const std::string& prefix, ReportRow& row, int depth) {
    if (depth > most_depth) return;
    for (const auto& [name, value] : object.GetObject()) {
        const std::string key = prefix + name.GetString();
        if (value.IsObject()) {
            row[key] = "";
            add_fields(value, key + ".", row, depth + 1);
        } else if (value.IsString()) row[key] = value.GetString();
        else if (value.IsInt64()) row[key] = std::to_string(value.GetInt64());
        else if (value.IsBool()) row[key] = value.GetBool() ? "true" : "false";
    }
}

ReportRow row_of(const rapidjson::Value& object) {
    ReportRow row;
    add_fields(object, "", row, 0);
    return row;
}

void collect(const rapidjson::Value& value, bool is_wanted, std::string_view list, std::vector<ReportRow>& rows, int depth) {
    if (depth > most_depth) return;
    if (value.IsArray()) {
        for (const auto& item : value.GetArray()) {
            if (is_wanted && item.IsObject()) rows.push_back(row_of(item));
            else collect(item, false, list, rows, depth + 1);
        }
    } else if (value.IsObject()) {
        for (const auto& [name, member] : value.GetObject())
            collect(member, std::string_view(name.GetString(), name.GetStringLength()) == list, list, rows, depth + 1);
    }
}

}  // namespace

Result<std::vector<ReportRow>> report_rows(std::string_view json, std::string_view list) {
    std::vector<ReportRow> rows;
    if (trimmed(json).empty()) return rows;
    rapidjson::Document document;
    document.Parse<rapidjson::kParseIterativeFlag>(json.data(), json.size());
    if (document.HasParseError()) return Error(ErrorCode::invalid, "a tool printed what is no JSON");
    collect(document, list.empty(), list, rows, 0);
    return rows;
}

std::string field_of(const ReportRow& row, std::string_view name) {
    const auto found = row.find(name);
    return found == row.end() ? std::string() : found->second;
}

std::int64_t bytes_of(const ReportRow& row, std::string_view name) {
    const std::string text = field_of(row, name);
    std::int64_t bytes = 0;
    const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), bytes);
    return fault == std::errc() && end == text.data() + text.size() ? bytes : 0;
}

}  // namespace ctl::drivers::storage
