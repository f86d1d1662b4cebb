#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/field.h"
#include "model/host_state.h"

namespace ctl::cli {

/// One thing in a listing: columns for people, all of it for machines.
struct Item {
    std::string kind;
    std::string name;
    std::string stack;
    std::vector<std::pair<std::string, model::FieldValue>> facts;  ///< by name, in a fixed order

    /// The fact as text, or "" when it isn't known.
    [[nodiscard]] std::string fact(std::string_view fact_name) const;
};

/// What the host shows of a resource kind ("Container", "Network", "Image", "StoragePool"): ours, by name.
[[nodiscard]] std::vector<Item> list_items(std::string_view kind, const model::HostState& observed);

/// Columns of a kind, without NAME and STACK.
[[nodiscard]] std::vector<std::string> columns_of(std::string_view kind, bool wide);

[[nodiscard]] std::string items_to_json(const std::vector<Item>& items);
[[nodiscard]] std::string items_to_yaml(const std::vector<Item>& items);

}  // namespace ctl::cli
