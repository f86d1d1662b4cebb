#include "model/yaml_source.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/text.h"

namespace ctl::model {

namespace {

constexpr std::string_view byte_hint = "a manifest is plain text in UTF-8; is this a manifest?";

/// The length of the sequence at the front that a manifest may have, 0 if it may not.
std::size_t allowed_sequence(std::string_view text) {
    const auto lead = static_cast<unsigned char>(text[0]);
    if (lead < 0x20) {
        if (lead == '\n' || lead == '\t') return 1;
        return lead == '\r' && text.size() > 1 && text[1] == '\n' ? 2 : 0;
    }
    if (lead < 0x80) return lead == 0x7F ? 0 : 1;
    const std::size_t length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    if (!is_utf8(text.substr(0, length))) return 0;
    const bool is_c1_control = lead == 0xC2 && static_cast<unsigned char>(text[1]) < 0xA0;
    return is_c1_control ? 0 : length;
}

std::string what_is_wrong(std::string_view text) {
    const auto lead = static_cast<unsigned char>(text[0]);
    if (lead == 0) return "the file has a NUL byte: it is not text";
    if (lead == '\r') return "a carriage return without a line feed is not allowed";
    if (lead < 0x20 || lead == 0x7F) return fmt::format("control character \\x{:02x} is not allowed", lead);
    if (lead == 0xC2 && text.size() > 1 && is_utf8(text.substr(0, 2)))
        return fmt::format("control character \\u{:04x} is not allowed", static_cast<unsigned char>(text[1]));
    return fmt::format("byte \\x{:02x} is not valid UTF-8", lead);
}

}  // namespace

bool YamlSource::check_bytes(Diagnostics& diagnostics) const {
    unsigned line = 1;
    std::size_t line_start = 0;
    std::size_t at = 0;
    while (at < text_.size()) {
        const auto byte = static_cast<unsigned char>(text_[at]);
        if (byte >= 0x20 && byte < 0x7F) {
            ++at;
            continue;
        }
        const std::size_t length = allowed_sequence(text_.substr(at));
        if (length == 0) {
            diagnostics.error("bad-byte", what_is_wrong(text_.substr(at)),
                              place(line, static_cast<unsigned>(at - line_start + 1)), std::string(byte_hint));
            return false;
        }
        at += length;
        if (text_[at - 1] == '\n') {
            ++line;
            line_start = at;
        }
    }
    return true;
}

unsigned YamlSource::scalar_length(std::size_t offset, std::string_view value) const {
    if (offset >= text_.size()) return 0;
    const std::string_view line = text_.substr(offset, text_.substr(offset).find('\n'));
    const char first = line.empty() ? ' ' : line.front();
    if (first == '|' || first == '>' || first == '!' || first == '&') return 1;
    if (first != '"' && first != '\'')
        return static_cast<unsigned>(line.starts_with(value) ? value.size() : trimmed(line).size());
    for (std::size_t at = 1; at < line.size(); ++at) {
        if (first == '"' && line[at] == '\\') ++at;
        else if (line[at] == first) return static_cast<unsigned>(at + 1);
    }
    return static_cast<unsigned>(line.size());
}

bool YamlSource::is_closed(std::size_t offset) const {
    if (has(offset, "!"))
        offset = std::min(text_.find_first_not_of(" \t\r\n", text_.find_first_of(" \t\r\n", offset)), text_.size());
    if (offset >= text_.size() || (text_[offset] != '"' && text_[offset] != '\'')) return true;
    const char quote = text_[offset];
    for (std::size_t at = offset + 1; at < text_.size(); ++at) {
        if (quote == '"' && text_[at] == '\\') ++at;
        else if (text_[at] != quote) continue;
        else if (quote == '\'' && has(at + 1, "'")) ++at;
        else return true;
    }
    return false;
}

bool YamlSource::is_tab_indented(std::size_t offset) const {
    offset = std::min(offset, text_.size());
    const std::size_t break_before = offset == 0 ? std::string_view::npos : text_.rfind('\n', offset - 1);
    const std::size_t start = break_before == std::string_view::npos ? 0 : break_before + 1;
    const std::size_t end = std::min(text_.find_first_not_of(" \t", start), text_.size());
    return text_.substr(start, end - start).find('\t') != std::string_view::npos;
}

SourceSpan YamlSource::before(std::size_t offset, unsigned line, unsigned column) const {
    offset = std::min(offset, text_.size());
    std::size_t line_start = offset - std::min<std::size_t>(offset, column - 1);
    std::string_view head = text_.substr(line_start, offset - line_start);
    // Lines between the indicator and what follows it can only be blank or comments.
    while (trimmed(head).empty() || trimmed(head).front() == '#') {
        if (line_start == 0) return place(line, column);
        const std::size_t end = line_start - 1;
        const std::size_t break_before = end == 0 ? std::string_view::npos : text_.rfind('\n', end - 1);
        line_start = break_before == std::string_view::npos ? 0 : break_before + 1;
        head = text_.substr(line_start, end - line_start);
        --line;
    }
    if (const std::size_t comment = head.find(" #"); comment != std::string_view::npos) head = head.substr(0, comment);
    const std::size_t indicator = head.find_last_of("-,:?[{");
    return indicator == std::string_view::npos ? place(line, column) : place(line, static_cast<unsigned>(indicator + 1));
}

}  // namespace ctl::model
