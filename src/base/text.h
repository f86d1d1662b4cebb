#pragma once

#include <concepts>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ctl {

/// For messages and terminals: control characters, invalid UTF-8 and backslashes as \n, \x1b, …, so that a hostile value
/// can neither break a line nor drive a terminal.
[[nodiscard]] std::string escaped(std::string_view text);

/// `escaped` between double quotes, inner quotes escaped: how a value is shown in a message.
[[nodiscard]] std::string quoted(std::string_view text);

/// Pieces between `separator`; "" gives one empty piece.
[[nodiscard]] std::vector<std::string_view> split(std::string_view text, char separator);
/// The pieces are views: a text that goes at once would take them along.
template <std::same_as<std::string> Text>
std::vector<std::string_view> split(Text&& text, char separator) = delete;

/// Without blanks, tabs and line ends on both sides.
[[nodiscard]] std::string_view trimmed(std::string_view text);

[[nodiscard]] std::string joined(std::span<const std::string> parts, std::string_view separator);

/// The candidate nearest to `word` by edit distance, or "" if none is near enough to be meant (at most a third of it).
[[nodiscard]] std::string_view nearest(std::string_view word, std::span<const std::string_view> candidates);

/// FNV-1a, 64 bits: spreads texts well enough, and is the same in every run and on every machine, which std::hash is not.
[[nodiscard]] constexpr std::uint64_t stable_hash(std::string_view text) {
    std::uint64_t hash = 0xcbf29ce484222325U;
    for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3U;
    return hash;
}

/// True when the bytes are well-formed UTF-8 (RFC 3629: no surrogates, no overlong forms).
[[nodiscard]] bool is_utf8(std::string_view text);

}  // namespace ctl
