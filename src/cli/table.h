#pragma once

#include <string>
#include <vector>

namespace ctl::cli {

/// Columns as wide as their widest cell, two blanks apart; the last one is never padded.
class Table {
public:
    explicit Table(std::vector<std::string> head) : rows_{std::move(head)} {}
    /// One cell per column; cells are printed as they are (escape what comes from outside).
    void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
    [[nodiscard]] std::string str() const;

private:
    std::vector<std::vector<std::string>> rows_;
};

}  // namespace ctl::cli
