#include <fmt/format.h>

#include "base/text.h"
#include "cli/topology.h"

namespace ctl::cli {

namespace {

class Tree {
public:
    explicit Tree(const Topology& topology)
        : topology_(topology), lines_to_(topology.nodes.size()), is_root_(topology.nodes.size(), true) {
        for (const auto& line : topology.lines) {
            lines_to_[line.to].push_back(&line);
            is_root_[line.from] = false;
        }
    }

    std::string str() {
        for (std::size_t node = 0; node < topology_.nodes.size(); ++node) {
            if (!is_root_[node]) continue;
            text_ += title(node, "") + "\n";
            add_below(node, "", 0);
        }
        return std::move(text_);
    }

private:
    [[nodiscard]] std::string title(std::size_t node, const std::string& label) const {
        const auto& box = topology_.nodes[node];
        std::string line = fmt::format("{}  {}", escaped(box.name), to_string(box.kind));
        for (const auto* more : {&box.details, &label})
            if (!more->empty()) line += ", " + escaped(*more);
        return line;
    }

    void add_below(std::size_t node, const std::string& indent, std::size_t depth) {
        // What the host shows can't hang on itself, a broken manifest can.
        if (depth > topology_.nodes.size()) return;
        const auto& lines = lines_to_[node];
        for (std::size_t i = 0; i < lines.size(); ++i) {
            const bool last = i + 1 == lines.size();
            text_ += fmt::format("{}{} {}\n", indent, last ? "└─" : "├─", title(lines[i]->from, lines[i]->label));
            add_below(lines[i]->from, indent + (last ? "   " : "│  "), depth + 1);
        }
    }

    const Topology& topology_;
    std::vector<std::vector<const Topology::Line*>> lines_to_;
    std::vector<bool> is_root_;
    std::string text_;
};

/// The inside of a string of the DOT language: only quotes and backslashes mean something in it.
std::string dot_text(std::string_view text) {
    std::string inside;
    for (const char c : escaped(text)) {
        if (c == '"' || c == '\\') inside += '\\';
        inside += c;
    }
    return inside;
}

std::string_view dot_shape(Topology::Kind kind) {
    switch (kind) {
        case Topology::Kind::interface: return "component";
        case Topology::Kind::network: return "ellipse";
        case Topology::Kind::tunnel: return "cds";
        case Topology::Kind::container: return "box";
    }
    return "box";
}

}  // namespace

std::string to_text(const Topology& topology) { return Tree(topology).str(); }

std::string to_dot(const Topology& topology) {
    std::string dot = "graph topology {\n  rankdir=LR;\n";
    for (std::size_t i = 0; i < topology.nodes.size(); ++i) {
        const auto& node = topology.nodes[i];
        const std::string details = node.details.empty() ? "" : "\\n" + dot_text(node.details);
        dot += fmt::format("  n{} [shape={}, label=\"{}{}\"];\n", i, dot_shape(node.kind), dot_text(node.name), details);
    }
    for (const auto& line : topology.lines)
        dot += fmt::format("  n{} -- n{} [label=\"{}\"];\n", line.to, line.from, dot_text(line.label));
    return dot + "}\n";
}

}  // namespace ctl::cli
