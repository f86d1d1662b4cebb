#include "drivers/lxc/own_lines.h"

#include <charconv>
#include <optional>

#include <fmt/format.h>

namespace ctl::drivers::lxc {

namespace {

using model::FieldValue;

constexpr std::string_view start = "#= ";

/// One line, or one word of it: control characters, backslashes and blanks that would not last as \xx.
std::string encoded(std::string_view text, bool one_word) {
    std::string line;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        const auto byte = static_cast<unsigned char>(c);
        const bool is_lost = c == ' ' && (one_word || i + 1 == text.size());
        if (byte < 0x20 || byte == 0x7f || c == '\\' || is_lost) line += fmt::format("\\{:02x}", byte);
        else line += c;
    }
    return line;
}

std::optional<std::string> decoded(std::string_view text) {
    std::string plain;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '\\') {
            plain += text[i];
            continue;
        }
        unsigned byte = 0;
        if (i + 3 > text.size()) return std::nullopt;
        const auto [end, error] = std::from_chars(text.data() + i + 1, text.data() + i + 3, byte, 16);
        if (error != std::errc() || end != text.data() + i + 3) return std::nullopt;
        plain += static_cast<char>(byte);
        i += 2;
    }
    return plain;
}

std::string line(std::string_view field, std::string_view value) { return fmt::format("{}{} {}\n", start, field, value); }

std::string lines_of(std::string_view field, const FieldValue& value) {
    if (const auto* number = std::get_if<std::int64_t>(&value)) return line(field, std::to_string(*number));
    if (const auto* flag = std::get_if<bool>(&value)) return line(field, *flag ? "true" : "false");
    if (const auto* text = std::get_if<std::string>(&value)) return line(field, encoded(*text, false));
    std::string lines;
    if (const auto* texts = std::get_if<std::vector<std::string>>(&value))
        for (const auto& text : *texts) lines += line(field, encoded(text, false));
    if (const auto* pairs = std::get_if<std::map<std::string, std::string>>(&value))
        for (const auto& [key, text] : *pairs)
            lines += line(field, fmt::format("{} {}", encoded(key, true), encoded(text, false)));
    return lines;
}

/// What the field is with this line in it; nothing if it does not fit.
std::optional<FieldValue> with_line(std::optional<FieldValue> before, const FieldValue& kind, std::string_view text) {
    const auto plain = decoded(text);
    if (!plain) return std::nullopt;
    if (std::holds_alternative<std::vector<std::string>>(kind)) {
        auto texts = before ? std::get<std::vector<std::string>>(*before) : std::vector<std::string>();
        texts.push_back(*plain);
        return texts;
    }
    if (std::holds_alternative<std::map<std::string, std::string>>(kind)) {
        const std::size_t blank = text.find(' ');
        const auto key = decoded(text.substr(0, blank));
        const auto value = blank == std::string_view::npos ? std::nullopt : decoded(text.substr(blank + 1));
        if (!key || !value) return std::nullopt;
        auto pairs = before ? std::get<std::map<std::string, std::string>>(*before) : std::map<std::string, std::string>();
        pairs.emplace(*key, *value);
        return pairs;
    }
    if (before) return std::nullopt;
    if (std::holds_alternative<std::string>(kind)) return *plain;
    if (std::holds_alternative<bool>(kind))
        return text == "true"    ? std::optional<FieldValue>(true)
               : text == "false" ? std::optional<FieldValue>(false)
                                 : std::nullopt;
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return number;
}

/// A value of the field's type, to tell the types apart.
std::optional<FieldValue> kind_of(std::string_view field) {
    for (const FieldValue& kind :
         {FieldValue(std::int64_t{}), FieldValue(false), FieldValue(std::string()), FieldValue(std::vector<std::string>()),
          FieldValue(std::map<std::string, std::string>())}) {
        model::Object probe = model::Container{};
        if (model::set_field(probe, field, kind)) return kind;
    }
    return std::nullopt;
}

}  // namespace

std::string own_lines(const model::Container& container, std::initializer_list<std::string_view> fields) {
    std::string lines;
    for (const auto& view : model::fields_of(container))
        for (const auto field : fields)
            if (view.name == field && view.value) lines += lines_of(field, *view.value);
    return lines;
}

bool is_own_line(std::string_view line) { return line.starts_with(start); }

bool read_own_line(std::string_view line, model::Container& container) {
    line.remove_prefix(start.size());
    const std::size_t blank = line.find(' ');
    const std::string_view field = line.substr(0, blank);
    const std::string_view text = blank == std::string_view::npos ? std::string_view() : line.substr(blank + 1);
    const auto kind = kind_of(field);
    if (!kind) return false;
    model::Object object = container;
    std::optional<FieldValue> before;
    for (auto& view : model::fields_of(object))
        if (view.name == field) before = std::move(view.value);
    const auto value = with_line(std::move(before), *kind, text);
    if (!value || !model::set_field(object, field, *value)) return false;
    container = std::get<model::Container>(std::move(object));
    return true;
}

}  // namespace ctl::drivers::lxc
