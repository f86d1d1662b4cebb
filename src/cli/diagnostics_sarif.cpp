#include "cli/diagnostics_sarif.h"

#include <algorithm>
#include <cstdint>
#include <map>

#include <fmt/format.h>
#include <rapidjson/prettywriter.h>
#include <rapidjson/stringbuffer.h>

#include "base/text.h"
#include "cli/source_lines.h"

namespace ctl::cli {

namespace {

using Json = rapidjson::PrettyWriter<rapidjson::StringBuffer>;

void put(Json& json, const char* key, const std::string& text) {
    json.Key(key);
    json.String(is_utf8(text) ? text : escaped(text));
}

/// RFC 3986: all but unreserved characters and slashes as %XX.
std::string uri_of(const std::string& path) {
    std::string uri = path.starts_with('/') ? "file://" : "";
    for (const char c : path) {
        const bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                              std::string_view("-._~/").find(c) != std::string_view::npos;
        if (is_plain) uri += c;
        else uri += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
    return uri;
}

std::string_view level(Severity severity) {
    switch (severity) {
        case Severity::error: return "error";
        case Severity::warning: return "warning";
        case Severity::note: return "note";
    }
    return "none";
}

class SarifWriter {
public:
    explicit SarifWriter(const Diagnostics& diagnostics) : diagnostics_(diagnostics), json_(buffer_) {
        json_.SetIndent(' ', 2);
        for (const auto& diagnostic : diagnostics.all()) rules_.emplace(diagnostic.rule, 0U);
        unsigned index = 0;
        for (auto& [rule, position] : rules_) position = index++;
    }

    std::string write() {
        json_.StartObject();
        put(json_, "$schema", "https://json.schemastore.org/sarif-2.1.0.json");
        put(json_, "version", "2.1.0");
        json_.Key("runs");
        json_.StartArray();
        json_.StartObject();
        write_tool();
        put(json_, "columnKind", "unicodeCodePoints");
        json_.Key("results");
        json_.StartArray();
        for (const auto& diagnostic : diagnostics_.all()) write_result(diagnostic);
        json_.EndArray();
        json_.EndObject();
        json_.EndArray();
        json_.EndObject();
        return std::string(buffer_.GetString(), buffer_.GetSize()) + "\n";
    }

private:
    void write_tool() {
        json_.Key("tool");
        json_.StartObject();
        json_.Key("driver");
        json_.StartObject();
        put(json_, "name", "ctl");
        json_.Key("rules");
        json_.StartArray();
        for (const auto& [rule, position] : rules_) {
            json_.StartObject();
            put(json_, "id", rule);
            json_.EndObject();
        }
        json_.EndArray();
        json_.EndObject();
        json_.EndObject();
    }

    void write_result(const Diagnostic& diagnostic) {
        json_.StartObject();
        put(json_, "ruleId", diagnostic.rule);
        json_.Key("ruleIndex");
        json_.Uint(rules_.find(diagnostic.rule)->second);
        put(json_, "level", std::string(level(diagnostic.severity)));
        json_.Key("message");
        json_.StartObject();
        put(json_, "text", diagnostic.hint.empty() ? diagnostic.message : diagnostic.message + "; " + diagnostic.hint);
        json_.EndObject();
        if (diagnostic.where.file != nullptr) {
            write_location(diagnostic.where);
            write_fingerprint(diagnostic);
        }
        json_.EndObject();
    }

    void write_location(const SourceSpan& where) {
        json_.Key("locations");
        json_.StartArray();
        json_.StartObject();
        json_.Key("physicalLocation");
        json_.StartObject();
        json_.Key("artifactLocation");
        json_.StartObject();
        put(json_, "uri", uri_of(*where.file));
        json_.EndObject();
        if (where.is_known()) {
            json_.Key("region");
            json_.StartObject();
            json_.Key("startLine");
            json_.Uint(where.line);
            json_.Key("startColumn");
            json_.Uint(std::max(1U, sources_.code_point_column(where, where.column)));
            json_.Key("endColumn");
            json_.Uint(std::max(2U, sources_.code_point_column(where, where.column + std::max(1U, where.length))));
            json_.EndObject();
        }
        json_.EndObject();
        json_.EndObject();
        json_.EndArray();
    }

    /// Rule, file and text of the line: the same finding after lines were added above it. Equal ones are counted.
    void write_fingerprint(const Diagnostic& diagnostic) {
        const auto line = sources_.line(diagnostic.where);
        const std::string identity =
            fmt::format("{}\n{}\n{}", diagnostic.rule, *diagnostic.where.file, trimmed(line.value_or("")));
        const unsigned occurrence = ++seen_[identity];
        json_.Key("partialFingerprints");
        json_.StartObject();
        put(json_, "primaryLocationLineHash", fmt::format("{:016x}:{}", stable_hash(identity), occurrence));
        json_.EndObject();
    }

    const Diagnostics& diagnostics_;
    rapidjson::StringBuffer buffer_;
    Json json_;
    SourceLines sources_;
    std::map<std::string, unsigned> rules_;
    std::map<std::string, unsigned> seen_;
};

}  // namespace

std::string to_sarif(const Diagnostics& diagnostics) { return SarifWriter(diagnostics).write(); }

}  // namespace ctl::cli
