#include "cli/diagnostics_output.h"

#include <algorithm>
#include <set>
#include <vector>

#include <fmt/format.h>
#include <rapidjson/prettywriter.h>
#include <rapidjson/stringbuffer.h>

#include "base/text.h"
#include "cli/diagnostics_sarif.h"
#include "cli/source_lines.h"

namespace ctl::cli {

namespace {

constexpr std::string_view severity_names[] = {"error", "warning", "note"};

std::string_view severity_name(const Diagnostic& diagnostic) {
    return severity_names[static_cast<std::size_t>(diagnostic.severity)];
}

std::string message_and_hint(const Diagnostic& diagnostic) {
    return diagnostic.hint.empty() ? diagnostic.message : diagnostic.message + "; " + diagnostic.hint;
}

struct Paint {
    bool colour;
    [[nodiscard]] std::string operator()(std::string_view code, std::string_view text) const {
        return colour ? fmt::format("\x1b[{}m{}\x1b[0m", code, text) : std::string(text);
    }
};

constexpr std::string_view bold = "1";

std::string_view severity_colour(Severity severity) {
    switch (severity) {
        case Severity::error: return "1;31";
        case Severity::warning: return "1;33";
        case Severity::note: return "1;36";
    }
    return bold;
}

/// A line of a manifest: a tab is one column wide, and a backslash stays one.
std::string printable(std::string_view text) {
    std::string blanks(text);
    std::replace(blanks.begin(), blanks.end(), '\t', ' ');
    std::string out;
    for (const auto piece : split(blanks, '\\')) out += (piece.data() == blanks.data() ? "" : "\\") + escaped(piece);
    return out;
}

bool is_continuation(char c) { return (static_cast<unsigned char>(c) & 0xC0U) == 0x80U; }

/// The line with a caret line below; of a long line only what surrounds the place.
std::string source_excerpt(std::string_view line, const SourceSpan& where, const Paint& paint) {
    constexpr std::size_t before = 60;
    constexpr std::size_t most = 140;
    const std::size_t at = std::min<std::size_t>(where.column == 0 ? 0 : where.column - 1, line.size());
    const std::size_t span_end = std::min(line.size(), at + std::max<std::size_t>(1, where.length));
    std::size_t start = line.size() > most && at > before ? at - before : 0;
    while (start > 0 && is_continuation(line[start])) --start;
    std::size_t end = std::min(line.size(), start + most);
    while (end < line.size() && is_continuation(line[end])) ++end;
    const std::string_view lead = start > 0 ? "..." : "";
    const std::string head = printable(line.substr(start, at - start));
    const std::string marked = printable(line.substr(at, std::min(span_end, end) - at));
    const std::string margin = fmt::format("{:>5} | ", where.line);
    std::string text =
        fmt::format("{}{}{}{}\n", margin, lead, printable(line.substr(start, end - start)), end < line.size() ? "..." : "");
    const std::size_t indent = lead.size() + code_points(head);
    const std::size_t width = std::max<std::size_t>(1, code_points(marked));
    text += fmt::format("      | {}{}\n", std::string(indent, ' '), paint("1;32", "^" + std::string(width - 1, '~')));
    return text;
}

std::string to_json(const Diagnostics& diagnostics) {
    rapidjson::StringBuffer buffer;
    rapidjson::PrettyWriter<rapidjson::StringBuffer> json(buffer);
    json.SetIndent(' ', 2);
    const auto count = [&](Severity severity) {
        return static_cast<std::uint64_t>(std::count_if(diagnostics.all().begin(), diagnostics.all().end(),
                                                        [&](const Diagnostic& d) { return d.severity == severity; }));
    };
    const auto put = [&](const char* key, std::string_view text) {
        json.Key(key);
        const std::string valid = is_utf8(text) ? std::string(text) : escaped(text);
        json.String(valid);
    };
    json.StartObject();
    put("format", "ctl.diagnostics/1");
    json.Key("errors");
    json.Uint64(count(Severity::error));
    json.Key("warnings");
    json.Uint64(count(Severity::warning));
    json.Key("notes");
    json.Uint64(count(Severity::note));
    json.Key("diagnostics");
    json.StartArray();
    for (const auto& diagnostic : diagnostics.all()) {
        json.StartObject();
        put("severity", severity_name(diagnostic));
        put("rule", diagnostic.rule);
        put("message", diagnostic.message);
        put("hint", diagnostic.hint);
        if (diagnostic.where.file != nullptr) put("file", *diagnostic.where.file);
        if (diagnostic.where.is_known()) {
            json.Key("line");
            json.Uint(diagnostic.where.line);
            json.Key("column");
            json.Uint(diagnostic.where.column);
            json.Key("length");
            json.Uint(diagnostic.where.length);
        }
        json.EndObject();
    }
    json.EndArray();
    json.EndObject();
    return std::string(buffer.GetString(), buffer.GetSize()) + "\n";
}

std::string github_escaped(std::string_view text, bool is_property) {
    std::string out;
    for (const char c : text) {
        const bool is_special = c == '%' || c == '\r' || c == '\n' || (is_property && (c == ':' || c == ','));
        if (is_special) out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
        else out += c;
    }
    return out;
}

std::string to_github(const Diagnostics& diagnostics) {
    SourceLines sources;
    std::string text;
    for (const auto& diagnostic : diagnostics.all()) {
        const SourceSpan& where = diagnostic.where;
        std::string properties;
        if (where.file != nullptr) properties += fmt::format("file={},", github_escaped(escaped(*where.file), true));
        if (where.is_known()) {
            const unsigned column = sources.code_point_column(where, where.column);
            const unsigned end = sources.code_point_column(where, where.column + std::max(1U, where.length));
            properties += fmt::format("line={},col={},endColumn={},", where.line, column, end);
        }
        const std::string_view command = diagnostic.severity == Severity::note ? "notice" : severity_name(diagnostic);
        text += fmt::format("::{} {}title={}::{}\n", command, properties, github_escaped(diagnostic.rule, true),
                            github_escaped(message_and_hint(diagnostic), false));
    }
    return text;
}

std::string xml_escaped(std::string_view text) {
    std::string out;
    for (const char c : escaped(text)) {
        switch (c) {
            case '&': out += "&amp;"; break;
            case '<': out += "&lt;"; break;
            case '>': out += "&gt;"; break;
            case '"': out += "&quot;"; break;
            case '\'': out += "&apos;"; break;
            default: out += c;
        }
    }
    return out;
}

/// Messages are escaped already; only the markup is left to do.
std::string xml_line(const Diagnostic& diagnostic) {
    std::string out;
    for (const char c : fmt::format("{}: {}: {}", escaped(diagnostic.where.str()), severity_name(diagnostic),
                                    message_and_hint(diagnostic))) {
        if (c == '&') out += "&amp;";
        else if (c == '<') out += "&lt;";
        else if (c == '>') out += "&gt;";
        else if (static_cast<unsigned char>(c) >= 0x20) out += c;
    }
    return out + "\n";
}

std::string to_junit(const Diagnostics& diagnostics, std::span<const std::string> files) {
    std::vector<std::string> names(files.begin(), files.end());
    std::set<std::string_view> known(names.begin(), names.end());
    std::set<std::string> others;
    std::set<std::string_view> failed;
    const auto name_of = [](const Diagnostic& d) {
        return d.where.file != nullptr ? std::string_view(*d.where.file) : std::string_view("ctl");
    };
    for (const auto& diagnostic : diagnostics.all()) {
        if (!known.contains(name_of(diagnostic))) others.emplace(name_of(diagnostic));
        if (diagnostic.severity == Severity::error) failed.insert(name_of(diagnostic));
    }
    names.insert(names.end(), others.begin(), others.end());

    std::string text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
    text += fmt::format("<testsuites>\n  <testsuite name=\"ctl validate\" tests=\"{}\" failures=\"{}\" errors=\"0\">\n",
                        names.size(), failed.size());
    for (const auto& name : names) {
        std::string faults;
        std::string remarks;
        std::size_t count = 0;
        for (const auto& diagnostic : diagnostics.all()) {
            if (name_of(diagnostic) != name) continue;
            const bool is_fault = diagnostic.severity == Severity::error;
            (is_fault ? faults : remarks) += xml_line(diagnostic);
            if (is_fault) ++count;
        }
        text += fmt::format("    <testcase classname=\"ctl.validate\" name=\"{}\">\n", xml_escaped(name));
        if (count != 0)
            text += fmt::format("      <failure message=\"{} errors\" type=\"invalid\">{}</failure>\n", count, faults);
        if (!remarks.empty()) text += fmt::format("      <system-out>{}</system-out>\n", remarks);
        text += "    </testcase>\n";
    }
    return text + "  </testsuite>\n</testsuites>\n";
}

}  // namespace

std::optional<DiagnosticsFormat> format_from(std::string_view name) {
    if (name == "text") return DiagnosticsFormat::text;
    if (name == "json") return DiagnosticsFormat::json;
    if (name == "github") return DiagnosticsFormat::github;
    if (name == "sarif") return DiagnosticsFormat::sarif;
    if (name == "junit") return DiagnosticsFormat::junit;
    return std::nullopt;
}

std::string render_text(const Diagnostics& diagnostics, const TextOptions& options) {
    const Paint paint{options.colour};
    SourceLines sources;
    std::string text;
    for (const auto& diagnostic : diagnostics.all()) {
        const std::string place = escaped(diagnostic.where.str());
        if (!place.empty()) text += paint(bold, place + ":") + " ";
        text += fmt::format("{} {}\n",
                            paint(severity_colour(diagnostic.severity), fmt::format("{}:", severity_name(diagnostic))),
                            message_and_hint(diagnostic));
        if (const auto line = options.source_lines ? sources.line(diagnostic.where) : std::nullopt)
            text += source_excerpt(*line, diagnostic.where, paint);
    }
    return text;
}

std::string render(const Diagnostics& diagnostics, DiagnosticsFormat format, std::span<const std::string> files) {
    switch (format) {
        case DiagnosticsFormat::text: return render_text(diagnostics);
        case DiagnosticsFormat::json: return to_json(diagnostics);
        case DiagnosticsFormat::github: return to_github(diagnostics);
        case DiagnosticsFormat::sarif: return to_sarif(diagnostics);
        case DiagnosticsFormat::junit: return to_junit(diagnostics, files);
    }
    return {};
}

}  // namespace ctl::cli
