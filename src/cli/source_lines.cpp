#include "cli/source_lines.h"

#include <algorithm>
#include <filesystem>

#include "base/file.h"

namespace ctl::cli {

namespace {

constexpr std::size_t largest_file = std::size_t{16} << 20;

}  // namespace

unsigned code_points(std::string_view text) {
    return static_cast<unsigned>(
        std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }));
}

const SourceLines::File& SourceLines::file(const std::string& path) {
    const auto [it, is_new] = files_.try_emplace(path);
    if (!is_new) return it->second;
    std::error_code failure;
    // Reading a pipe again would wait for ever.
    if (!std::filesystem::is_regular_file(path, failure)) return it->second;
    auto text = read_file(path, largest_file);
    if (!text) return it->second;
    File& file = it->second;
    file.text = std::move(*text);
    for (std::size_t start = file.text.starts_with("\xEF\xBB\xBF") ? 3 : 0; start < file.text.size();) {
        file.starts.push_back(start);
        const std::size_t end = file.text.find('\n', start);
        start = end == std::string::npos ? file.text.size() : end + 1;
    }
    return file;
}

std::optional<std::string_view> SourceLines::line(const SourceSpan& where) {
    if (!where.is_known()) return std::nullopt;
    const File& source = file(*where.file);
    if (where.line > source.starts.size()) return std::nullopt;
    std::string_view line = std::string_view(source.text).substr(source.starts[where.line - 1]);
    line = line.substr(0, line.find('\n'));
    if (line.ends_with('\r')) line.remove_suffix(1);
    return line;
}

unsigned SourceLines::code_point_column(const SourceSpan& where, unsigned byte_column) {
    const auto text = line(where);
    if (!text || byte_column == 0 || byte_column - 1 > text->size()) return byte_column;
    return code_points(text->substr(0, byte_column - 1)) + 1;
}

}  // namespace ctl::cli
