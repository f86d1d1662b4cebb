#include <algorithm>

#include <fmt/format.h>

#include "base/text.h"
#include "cli/topology.h"

namespace ctl::cli {

namespace {

// Pixels. The width of a character is that of a 12 px monospaced font, rounded up.
constexpr std::size_t character = 8;
constexpr std::size_t line_height = 16;
constexpr std::size_t padding = 8;
constexpr std::size_t gap_between_boxes = 14;
constexpr std::size_t gap_between_columns = 70;
constexpr std::size_t margin = 16;

std::string xml_text(std::string_view text) {
    std::string safe;
    for (const char c : escaped(text)) {
        if (c == '<') safe += "&lt;";
        else if (c == '>') safe += "&gt;";
        else if (c == '&') safe += "&amp;";
        else if (c == '"') safe += "&quot;";
        else safe += c;
    }
    return safe;
}

std::string_view fill(Topology::Kind kind) {
    switch (kind) {
        case Topology::Kind::interface: return "#e8e8e8";
        case Topology::Kind::network: return "#cfe3ff";
        case Topology::Kind::tunnel: return "#ffe6c4";
        case Topology::Kind::container: return "#d5f0d0";
    }
    return "#ffffff";
}

/// A node's place on the sheet: its name, its details, and a row for each line that leaves it.
struct Box {
    std::size_t column = 0;
    std::size_t x = 0;
    std::size_t y = 0;
    std::size_t width = 0;
    std::vector<std::string> rows;

    [[nodiscard]] std::size_t height() const { return rows.size() * line_height + padding; }
    [[nodiscard]] std::size_t row_middle(std::size_t row) const {
        return y + padding / 2 + row * line_height + line_height / 2;
    }
};

class Sheet {
public:
    explicit Sheet(const Topology& topology) : topology_(topology), boxes_(topology.nodes.size()) {
        for (std::size_t i = 0; i < boxes_.size(); ++i) {
            boxes_[i].rows.push_back(topology.nodes[i].name);
            if (!topology.nodes[i].details.empty()) boxes_[i].rows.push_back(topology.nodes[i].details);
        }
        for (const auto& line : topology.lines) {
            row_of_line_.push_back(line.label.empty() ? 0 : boxes_[line.from].rows.size());
            if (!line.label.empty()) boxes_[line.from].rows.push_back(line.label);
        }
        choose_columns();
        place();
    }

    [[nodiscard]] std::string str() const {
        std::string svg = fmt::format(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" viewBox=\"0 0 {0} {1}\" "
            "font-family=\"monospace\" font-size=\"12\">\n",
            width_, height_);
        for (std::size_t i = 0; i < topology_.lines.size(); ++i) svg += line(i);
        for (std::size_t i = 0; i < boxes_.size(); ++i) svg += box(i);
        return svg + "</svg>\n";
    }

private:
    /// One column further than what it hangs on; all containers share the last one.
    void choose_columns() {
        for (std::size_t round = 0; round < boxes_.size(); ++round) {
            bool moved = false;
            for (const auto& line : topology_.lines) {
                const std::size_t column = boxes_[line.to].column + 1;
                // Nothing sensible is deeper than there are boxes; a circle would be.
                if (boxes_[line.from].column >= column || column >= boxes_.size()) continue;
                boxes_[line.from].column = column;
                moved = true;
            }
            if (!moved) break;
        }
        std::size_t last = 1;
        for (const auto& box : boxes_) last = std::max(last, box.column);
        for (std::size_t i = 0; i < boxes_.size(); ++i)
            if (topology_.nodes[i].kind == Topology::Kind::container) boxes_[i].column = last;
        columns_ = last + 1;
    }

    void place() {
        std::size_t x = margin;
        for (std::size_t column = 0; column < columns_; ++column) {
            std::size_t widest = 0;
            for (const auto& box : boxes_)
                if (box.column == column)
                    for (const auto& row : box.rows)
                        widest = std::max(widest, escaped(row).size() * character + 2 * padding);
            if (widest == 0) continue;
            std::size_t y = margin;
            for (auto& box : boxes_) {
                if (box.column != column) continue;
                box.x = x;
                box.y = y;
                box.width = widest;
                y += box.height() + gap_between_boxes;
            }
            height_ = std::max(height_, y);
            width_ = x + widest + margin;
            x += widest + gap_between_columns;
        }
    }

    [[nodiscard]] std::string line(std::size_t index) const {
        const auto& ends = topology_.lines[index];
        const Box& from = boxes_[ends.from];
        const Box& to = boxes_[ends.to];
        return fmt::format("<line x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\" stroke=\"#555555\"/>\n", to.x + to.width,
                           to.row_middle(0), from.x, from.row_middle(row_of_line_[index]));
    }

    [[nodiscard]] std::string box(std::size_t index) const {
        const Box& box = boxes_[index];
        std::string svg =
            fmt::format("<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"4\" fill=\"{}\" stroke=\"#555555\"/>\n",
                        box.x, box.y, box.width, box.height(), fill(topology_.nodes[index].kind));
        for (std::size_t row = 0; row < box.rows.size(); ++row)
            svg += fmt::format("<text x=\"{}\" y=\"{}\"{}>{}</text>\n", box.x + padding, box.row_middle(row) + 4,
                               row == 0 ? " font-weight=\"bold\"" : "", xml_text(box.rows[row]));
        return svg;
    }

    const Topology& topology_;
    std::vector<Box> boxes_;
    std::vector<std::size_t> row_of_line_;
    std::size_t columns_ = 1;
    std::size_t width_ = 2 * margin;
    std::size_t height_ = 2 * margin;
};

}  // namespace

std::string to_svg(const Topology& topology) { return Sheet(topology).str(); }

}  // namespace ctl::cli
