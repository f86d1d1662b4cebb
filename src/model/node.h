#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/source_span.h"

namespace ctl::model {

/// A YAML tree with positions: what the loader makes of a document. Duplicate keys and aliases never get this far.
struct Node {
    enum class Kind { null, scalar, sequence, map };
    struct Pair;

    Kind kind = Kind::null;
    std::string text;     ///< scalar: as written, quotes removed
    bool quoted = false;  ///< scalar: a string on purpose
    SourceSpan where;
    std::vector<Node> items;  ///< sequence
    std::vector<Pair> pairs;  ///< map, in the order of the file

    [[nodiscard]] bool is_map() const { return kind == Kind::map; }
    [[nodiscard]] bool is_sequence() const { return kind == Kind::sequence; }
    [[nodiscard]] bool is_scalar() const { return kind == Kind::scalar; }
    [[nodiscard]] bool is_null() const { return kind == Kind::null; }
    /// The value of `key`, or null. Linear: for maps with few keys.
    [[nodiscard]] const Node* find(std::string_view key) const;
};

struct Node::Pair {
    Node key;  ///< always a scalar
    Node value;
};

inline const Node* Node::find(std::string_view key) const {
    for (const auto& pair : pairs)
        if (pair.key.text == key) return &pair.value;
    return nullptr;
}

}  // namespace ctl::model
