#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/source_span.h"

namespace ctl::model {

/// A scalar as a person wrote it, with its place. LXD's values are strings; YAML numbers and booleans keep their text.
struct Value {
    std::string text;
    SourceSpan where;

    [[nodiscard]] bool empty() const { return text.empty(); }
};

/// LXD's configuration map: key → value. The keys' places are kept too.
struct ConfigEntry {
    Value value;
    SourceSpan key_where;
};
using Config = std::map<std::string, ConfigEntry, std::less<>>;

/// The value of a key, or null if it is absent or empty.
[[nodiscard]] const Value* find_value(const Config& config, std::string_view key);
/// The text of a key; `otherwise` when it is absent or empty.
[[nodiscard]] std::string text_value(const Config& config, std::string_view key, std::string_view otherwise = {});

}  // namespace ctl::model
