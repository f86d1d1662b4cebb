#include "diff/render.h"

#include <algorithm>
#include <map>
#include <set>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include "base/text.h"
#include "model/state_json.h"

namespace ctl::diff {

using model::FieldValue;

namespace {

struct Style {
    std::string_view symbol;
    std::string_view colour;  ///< ANSI
    std::string_view phrase;
};

constexpr std::string_view green = "\x1b[32m";
constexpr std::string_view yellow = "\x1b[33m";
constexpr std::string_view red = "\x1b[31m";
constexpr std::string_view plain = "\x1b[0m";

Style style_of(const Change& change) {
    switch (change.verb) {
        case Verb::create: return {"  +", green, "will be created"};
        case Verb::update:
            if (change.effect == model::Effect::restart && change.id.kind != model::ObjectKind::volume)
                return {"  ~", yellow, "will be updated and restarted"};
            return {"  ~", yellow, "will be updated"};
        case Verb::replace: return {"-/+", red, "will be replaced"};
        case Verb::remove: return {"  -", red, "will be deleted"};
        case Verb::adopt: return {"  >", yellow, "will be taken over"};
        case Verb::forget:
            return {"  <", yellow, change.fields.empty() ? "will be left as it is and forgotten" : "will be given back"};
        case Verb::stop: return {"  ~", yellow, "will be stopped"};
    }
    return {};
}

std::string text_of(const std::optional<FieldValue>& value, std::string_view absent) {
    if (!value) return std::string(absent);
    const std::string text = model::to_text(*value);
    return text.empty() ? "none" : text;
}

/// A list's members; of a map each line of each value, behind its key. Nothing for what has no members.
std::vector<std::string> lines_of(const FieldValue& value) {
    if (const auto* list = std::get_if<std::vector<std::string>>(&value)) return *list;
    std::vector<std::string> lines;
    if (const auto* map = std::get_if<std::map<std::string, std::string>>(&value))
        for (const auto& [key, text] : *map)
            for (const auto line : split(text, '\n')) lines.push_back(fmt::format("{}: {}", key, line));
    return lines;
}

/// Whether the value is better read a member a line.
bool is_long(const std::optional<FieldValue>& value) {
    constexpr std::size_t widest = 160;
    return value && !lines_of(*value).empty() && model::to_text(*value).size() > widest;
}

std::string indented(const std::vector<std::string>& lines, std::string_view symbol) {
    std::string text;
    for (const auto& line : lines) text += fmt::format("          {}{}\n", symbol, escaped(line));
    return text;
}

/// Those of `lines` that `others` lacks.
std::vector<std::string> lines_only_in(std::vector<std::string> lines, const std::vector<std::string>& others) {
    std::multiset<std::string> left(others.begin(), others.end());
    std::erase_if(lines, [&](const std::string& line) {
        const auto found = left.find(line);
        if (found == left.end()) return false;
        left.erase(found);
        return true;
    });
    return lines;
}

std::string field_line(const FieldChange& field, std::string_view symbol) {
    const std::string to = text_of(field.to, "default");
    if (field.from && field.from == field.to)
        return fmt::format("      {} {}: {}   (applied again)\n", symbol, field.name, is_long(field.to) ? "…" : to);
    const std::string where = field.cause != Cause::unset && field.where.is_known() ? " at " + field.where.str() : "";
    if (is_long(field.from) || is_long(field.to)) {
        const auto before = field.from ? lines_of(*field.from) : std::vector<std::string>();
        const auto after = field.to ? lines_of(*field.to) : std::vector<std::string>();
        return fmt::format("      {} {}:   ({}, {}{})\n", symbol, field.name, to_string(field.effect),
                           to_string(field.cause), where) +
               indented(lines_only_in(before, after), "- ") + indented(lines_only_in(after, before), "+ ");
    }
    return fmt::format("      {} {}: {} → {}   ({}, {}{})\n", symbol, field.name, text_of(field.from, "unset"), to,
                       to_string(field.effect), to_string(field.cause), where);
}

using Writer = rapidjson::Writer<rapidjson::StringBuffer>;

void write(Writer& out, std::string_view text) { out.String(text.data(), static_cast<rapidjson::SizeType>(text.size())); }

void write(Writer& out, const std::optional<FieldValue>& value) {
    if (!value) {
        out.Null();
        return;
    }
    const std::string json = model::field_value_to_json(*value);
    out.RawValue(json.data(), json.size(), rapidjson::kStringType);
}

void write_field(Writer& out, const FieldChange& field) {
    out.StartObject();
    out.Key("name");
    write(out, std::string_view(field.name));
    out.Key("from");
    write(out, field.from);
    out.Key("to");
    write(out, field.to);
    out.Key("effect");
    write(out, to_string(field.effect));
    out.Key("cause");
    write(out, to_string(field.cause));
    if (field.where.is_known()) {
        out.Key("where");
        write(out, std::string_view(field.where.str()));
    }
    out.EndObject();
}

void write_entry(Writer& out, const char* key, const SharedEntry& entry) {
    if (!entry) return;
    const std::string json = model::entry_to_json(*entry);
    out.Key(key);
    out.RawValue(json.data(), json.size(), rapidjson::kObjectType);
}

}  // namespace

std::string to_text(const Change& change, const RenderOptions& options) {
    const Style style = style_of(change);
    const std::string_view symbol_in_line = style.symbol.substr(style.symbol.find_first_not_of(' '));
    std::string text = options.colour ? fmt::format("{}{}{}", style.colour, style.symbol, plain) : std::string(style.symbol);
    text += fmt::format(" {} {}", escaped(change.id.str()), style.phrase);
    if (!change.reason.empty()) text += fmt::format(": {}", escaped(change.reason));
    text += '\n';
    if (change.verb == Verb::create && change.desired) {
        for (const auto& view : model::fields_of(change.desired->object)) {
            const std::string value = view.value ? model::to_text(*view.value) : std::string();
            if (value.empty()) continue;
            text += fmt::format("      {} {}:{}{}\n", symbol_in_line, view.name, is_long(view.value) ? "" : " ",
                                is_long(view.value) ? "" : value);
            if (is_long(view.value)) text += indented(lines_of(*view.value), "");
        }
    }
    for (const auto& field : change.fields) text += field_line(field, "~");
    return text;
}

std::string to_json(const Change& change) {
    rapidjson::StringBuffer buffer;
    Writer out(buffer);
    out.StartObject();
    out.Key("id");
    write(out, std::string_view(change.id.str()));
    out.Key("verb");
    write(out, to_string(change.verb));
    out.Key("effect");
    write(out, to_string(change.effect));
    out.Key("reason");
    write(out, std::string_view(change.reason));
    out.Key("deferred");
    out.Bool(change.deferred);
    out.Key("fields");
    out.StartArray();
    for (const auto& field : change.fields) write_field(out, field);
    out.EndArray();
    write_entry(out, "desired", change.desired);
    write_entry(out, "observed", change.observed);
    out.EndObject();
    return {buffer.GetString(), buffer.GetSize()};
}

}  // namespace ctl::diff
