#pragma once

#include <map>
#include <string>
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

}  // namespace ctl::model
