#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/diagnostics.h"
#include "model/schema.h"
#include "model/value.h"

namespace ctl::model {

/// Why a text is no value of a type: `bad value "x" for KEY: <what>`, and what to type instead.
struct Misfit {
    std::string what;
    std::string hint;
};

/// `quoted`, cut off where it gets too long for a message.
[[nodiscard]] std::string shown(std::string_view text);

/// Holds `text` against a key's type and, for an enumeration, its values. An empty text fits: it unsets the key.
[[nodiscard]] std::optional<Misfit> misfit(const KeyInfo& key, std::string_view text);

/// True when the value asks for nothing: one of the key's inert values, in any spelling of its type.
[[nodiscard]] bool is_inert(const KeyInfo& key, std::string_view text);

/// Reports everything there is to say about one value: bad-value, unsupported, and notes for keys without effect.
/// `name` is the key as written (a member of a family), `key_where` its place.
void check_value(const KeyInfo& key, std::string_view name, const Value& value, const SourceSpan& key_where,
                 Diagnostics& diagnostics);

/// "is not supported" for a key, or for a thing that has no single value, such as a list; `why` says why not, or what to do.
void report_unsupported(std::string_view what, std::string_view why, const SourceSpan& where, Diagnostics& diagnostics);

}  // namespace ctl::model
