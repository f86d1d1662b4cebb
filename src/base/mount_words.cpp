#include "base/mount_words.h"

#include <fmt/format.h>

namespace ctl {

std::string fstab_escaped(std::string_view path) {
    std::string word;
    for (const char c : path) {
        if (c == ' ' || c == '\t' || c == '\\') word += fmt::format("\\{:03o}", static_cast<unsigned char>(c));
        else word += c;
    }
    return word;
}

std::string fstab_unescaped(std::string_view word) {
    const auto octal = [&](std::size_t at) { return at < word.size() && word[at] >= '0' && word[at] <= '7'; };
    std::string path;
    for (std::size_t i = 0; i < word.size(); ++i) {
        if (word[i] == '\\' && octal(i + 1) && octal(i + 2) && octal(i + 3)) {
            path += static_cast<char>((word[i + 1] - '0') * 64 + (word[i + 2] - '0') * 8 + (word[i + 3] - '0'));
            i += 3;
        } else {
            path += word[i];
        }
    }
    return path;
}

}  // namespace ctl
