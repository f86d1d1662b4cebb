#include "drivers/nftables/table_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/text.h"

namespace ctl::drivers::nftables {

namespace {

// The kernel keeps at most this much of a comment; the rest of a longer mark is the comment of a chain of its own.
constexpr std::size_t comment_limit = 128;
constexpr std::string_view rest_chain = "ctl_mark";
constexpr std::array<std::string_view, 6> families{"ip", "ip6", "inet", "arp", "bridge", "netdev"};

bool is_family(std::string_view text) { return std::find(families.begin(), families.end(), text) != families.end(); }

/// The text in `comment "…"`, or nothing.
std::optional<std::string> comment_in(std::string_view line) {
    constexpr std::string_view start = "comment \"";
    if (!line.starts_with(start) || !line.ends_with('"') || line.size() == start.size()) return std::nullopt;
    return std::string(line.substr(start.size(), line.size() - start.size() - 1));
}

/// "NAME {" → NAME
std::optional<std::string> opened(std::string_view line, std::string_view word) {
    if (!line.starts_with(word) || !line.ends_with(" {")) return std::nullopt;
    return std::string(line.substr(word.size(), line.size() - word.size() - 2));
}

class Reader {
public:
    std::vector<TableListing> read(std::string_view listing) {
        for (const std::string_view raw : split(listing, '\n')) {
            const std::string_view line = trimmed(raw);
            if (line.empty()) continue;
            if (!raw.starts_with('\t')) outside(line);
            else if (tables_.empty()) continue;
            else if (!raw.starts_with("\t\t")) in_table(line);
            else in_block(line);
        }
        for (auto& table : tables_) take_rest_of_mark(table);
        return std::move(tables_);
    }

private:
    void outside(std::string_view line) {
        const auto name = opened(line, "table ");
        const std::size_t space = name ? name->find(' ') : std::string::npos;
        if (space == std::string::npos) return;
        TableListing table;
        table.table.family = name->substr(0, space);
        table.table.chains.emplace();
        table.name = name->substr(space + 1);
        tables_.push_back(std::move(table));
    }

    void in_table(std::string_view line) {
        if (line == "}") {
            block_.clear();
        } else if (const auto chain = opened(line, "chain ")) {
            begin(*chain);
        } else if (const auto other = opened(line, "")) {
            begin(*other);
        } else if (auto comment = comment_in(line)) {
            tables_.back().mark = std::move(*comment);
        } else {
            block_.clear();
            in_block(line);
        }
    }

    void begin(std::string name) {
        block_ = std::move(name);
        tables_.back().table.chains->emplace(block_, "");
    }

    void in_block(std::string_view line) {
        std::string& lines = (*tables_.back().table.chains)[block_];
        if (!lines.empty()) lines += '\n';
        lines += line;
    }

    static void take_rest_of_mark(TableListing& table) {
        const auto chain = table.table.chains->find(std::string(rest_chain));
        if (chain == table.table.chains->end() || table.mark.size() != comment_limit) return;
        const auto rest = comment_in(chain->second);
        if (!rest) return;
        table.mark += *rest;
        table.table.chains->erase(chain);
    }

    std::vector<TableListing> tables_;
    std::string block_;
};

/// Inside its chain a line must end what it begins: no brace, quote or control character may reach beyond it.
bool stays_inside(std::string_view line) {
    bool is_quoted = false;
    int depth = 0;
    for (const char c : line) {
        if (static_cast<unsigned char>(c) < 0x20 || c == '\\' || c == '#') return false;
        if (c == '"') is_quoted = !is_quoted;
        if (is_quoted) continue;
        if (c == '{') ++depth;
        if (c == '}' && --depth < 0) return false;
    }
    return !is_quoted && depth == 0;
}

Error unfit(std::string_view what, std::string_view text, const std::string& table) {
    return {ErrorCode::invalid, fmt::format("{} is no {} of the nftables table {}", quoted(text), what, quoted(table))};
}

std::string comment_line(std::string_view text) { return fmt::format("comment \"{}\"\n", text); }

}  // namespace

bool is_nft_name(std::string_view text) {
    const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
    return !text.empty() && is_letter(text.front()) && std::all_of(text.begin(), text.end(), [&](char c) {
        return is_letter(c) || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';
    });
}

std::vector<TableName> read_names(std::string_view listing) {
    std::vector<TableName> names;
    for (const std::string_view line : split(listing, '\n')) {
        const auto words = split(trimmed(line), ' ');
        if (words.size() == 3 && words[0] == "table") names.push_back({std::string(words[1]), std::string(words[2])});
    }
    return names;
}

std::vector<TableListing> read_tables(std::string_view listing) { return Reader().read(listing); }

Result<std::string> put_table(const std::string& name, const model::NftTable& table, const std::string& mark) {
    if (!is_nft_name(name)) return unfit("name", name, name);
    if (!table.family || !is_family(*table.family)) return unfit("family", table.family.value_or(""), name);
    if (mark.find('"') != std::string::npos || !stays_inside(mark) || mark.size() > 2 * comment_limit)
        return unfit("mark", mark, name);
    // A table of that name has to be there to be deleted, so that deleting it can't fail.
    std::string text = fmt::format("table {0} {1}\ndelete table {0} {1}\ntable {0} {1} {{\n", *table.family, name);
    if (!mark.empty()) text += comment_line(mark.substr(0, comment_limit));
    if (mark.size() > comment_limit)
        text += fmt::format("chain {} {{\n{}}}\n", rest_chain, comment_line(mark.substr(comment_limit)));
    if (table.chains) {
        // A jump must find its chain, whichever comes first by name. (What the kernel itself calls, nobody jumps to, and it
        // has to be born as that.)
        for (const auto& [chain, lines] : *table.chains) {
            if (!is_nft_name(chain)) return unfit("chain", chain, name);
            if (!lines.starts_with("type ")) text += fmt::format("chain {} {{\n}}\n", chain);
        }
        for (const auto& [chain, lines] : *table.chains) {
            text += fmt::format("chain {} {{\n", chain);
            for (const std::string_view line : split(lines, '\n')) {
                if (!stays_inside(line)) return unfit("line", line, name);
                text += fmt::format("{}\n", line);
            }
            text += "}\n";
        }
    }
    return text + "}\n";
}

std::string drop_table(const TableName& table) {
    return fmt::format("table {0} {1}\ndelete table {0} {1}\n", table.family, table.name);
}

std::string list_table(const TableName& table) { return fmt::format("list table {} {}\n", table.family, table.name); }

}  // namespace ctl::drivers::nftables
