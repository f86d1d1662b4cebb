#pragma once

#include <string>
#include <string_view>

namespace ctl {

/// A path as words of mount tables are written (fstab(5)), so that it stays one word: blanks and backslashes as \ooo.
[[nodiscard]] std::string fstab_escaped(std::string_view path);
/// The reverse.
[[nodiscard]] std::string fstab_unescaped(std::string_view word);

}  // namespace ctl
