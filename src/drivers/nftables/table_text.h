#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/object.h"

// Tables in nft's language.

namespace ctl::drivers::nftables {

/// A table as the kernel has it.
struct TableListing {
    std::string name;
    std::string mark;  ///< the comments that put_table() wrote; "" for none
    model::NftTable table;
};

/// Family and name in the lines of `list tables`.
struct TableName {
    std::string family;
    std::string name;
    bool operator==(const TableName&) const = default;
};
[[nodiscard]] std::vector<TableName> read_names(std::string_view listing);

/// The tables in the output of `list table`. What a table has besides chains (sets, flags) becomes a chain of its own name
/// ("set x", ""), so that it is seen as a difference.
[[nodiscard]] std::vector<TableListing> read_tables(std::string_view listing);

/// Commands that replace the table, or make it, in one transaction. Errors: `invalid` when a name or a line would not stay
/// where it belongs.
[[nodiscard]] Result<std::string> put_table(const std::string& name, const model::NftTable& table, const std::string& mark);
/// Commands that delete the table if it is there.
[[nodiscard]] std::string drop_table(const TableName& table);
[[nodiscard]] std::string list_table(const TableName& table);

/// A letter, then letters, digits, `_`, `-`, `.`: what nft takes as a name without asking back.
[[nodiscard]] bool is_nft_name(std::string_view text);

}  // namespace ctl::drivers::nftables
