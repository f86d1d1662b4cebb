#include "model/yaml.h"

#include <sys/stat.h>

#include <algorithm>
#include <istream>
#include <numeric>
#include <optional>
#include <streambuf>
#include <utility>

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include "base/file.h"
#include "base/text.h"
#include "model/yaml_source.h"

namespace ctl::model {

namespace {

constexpr std::size_t most_faults = 50;

/// Ends the parse from within yaml-cpp's callbacks; its reason is in the diagnostics already.
struct Stop {};

/// A piece of the input for a message: quoted, and cut when it is long.
std::string shown(std::string_view text) {
    constexpr std::size_t most = 60;
    if (text.size() <= most) return quoted(text);
    std::size_t end = most;
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) --end;
    return quoted(text.substr(0, end)) + "...";
}

class TextBuffer : public std::streambuf {
public:
    explicit TextBuffer(std::string_view text) {
        char* begin = const_cast<char*>(text.data());  // NOLINT: the get area is only read
        setg(begin, begin, begin + text.size());
    }
};

/// Builds our tree from yaml-cpp's events, and refuses what a manifest may not use.
class TreeBuilder final : public YAML::EventHandler {
public:
    TreeBuilder(const YamlSource& source, const YamlLimits& limits, Diagnostics& diagnostics)
        : source_(source), limits_(limits), diagnostics_(diagnostics) {}

    std::vector<Node> take_documents() { return std::move(documents_); }

    void OnDocumentStart(const YAML::Mark& mark) override {
        has_hole_ = false;
        if (std::exchange(first_document_, false) || source_.has(offset(mark), "---")) return;
        fault("yaml-syntax", "text after the end of the document", place(mark),
              "is the indentation right? Documents are separated by a line ---");
        throw Stop();
    }
    void OnDocumentEnd() override {}

    void OnNull(const YAML::Mark& mark, YAML::anchor_t) override {
        Node node;
        const bool is_written = source_.has(offset(mark), "~") || source_.has(offset(mark), "null") ||
                                source_.has(offset(mark), "Null") || source_.has(offset(mark), "NULL");
        node.where = is_written ? place(mark) : place_of_nothing(mark);
        attach(std::move(node));
    }

    void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
        has_hole_ = true;
        if (!is_merge_value())
            fault("yaml-alias", "aliases (*name) are not supported", place(mark),
                  "write the value out, or put what is shared in a profile");
        Node node;
        node.where = place(mark);
        attach(std::move(node));
    }

    void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t, const std::string& text) override {
        check_tag(mark, tag);
        Node node;
        node.kind = Node::Kind::scalar;
        node.text = text;
        node.quoted = tag != "?" && !tag.empty();
        node.where = place(mark);
        node.where.length = source_.scalar_length(offset(mark), text);
        if (node.quoted && !source_.is_closed(offset(mark))) {
            fault("yaml-syntax", "the quoted text does not end", node.where, "add the closing quote");
            throw Stop();
        }
        if (text.find('\0') != std::string::npos)
            hole("bad-byte", "the value has a NUL character", node.where, "remove the \\0");
        attach(std::move(node));
    }

    void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t,
                         YAML::EmitterStyle::value) override {
        open(Node::Kind::sequence, mark, tag);
    }
    void OnSequenceEnd() override { close(); }

    void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t, YAML::EmitterStyle::value) override {
        open(Node::Kind::map, mark, tag);
    }
    void OnMapEnd() override {
        drop_duplicate_keys(open_.back().node);
        close();
    }

    void OnAnchor(const YAML::Mark& mark, const std::string& name) override {
        fault("yaml-anchor", fmt::format("the anchor {} is not supported", shown("&" + name)), place(mark),
              "remove it; put what several containers share in a profile");
    }

private:
    struct Open {
        Node node;
        std::optional<Node> key;  // of a map, while its value is awaited
        bool key_is_usable = true;
    };

    static std::size_t offset(const YAML::Mark& mark) { return mark.pos < 0 ? 0 : static_cast<std::size_t>(mark.pos); }
    SourceSpan place(const YAML::Mark& mark) const {
        return source_.place(static_cast<unsigned>(mark.line + 1), static_cast<unsigned>(mark.column + 1));
    }

    /// yaml-cpp marks an empty value where the next token stands.
    SourceSpan place_of_nothing(const YAML::Mark& mark) const {
        if (!open_.empty() && open_.back().key) return open_.back().key->where;
        const SourceSpan seen = place(mark);
        return source_.before(offset(mark), seen.line, seen.column);
    }

    void fault(std::string rule, std::string message, SourceSpan where, std::string hint) {
        diagnostics_.error(std::move(rule), std::move(message), where, std::move(hint));
        if (++faults_ < most_faults) return;
        diagnostics_.note("yaml-faults", "more faults follow that are not shown", where);
        throw Stop();
    }

    /// A fault after which the document lacks what stands there, so that it is not returned.
    void hole(std::string rule, std::string message, SourceSpan where, std::string hint) {
        has_hole_ = true;
        fault(std::move(rule), std::move(message), std::move(where), std::move(hint));
    }

    void check_tag(const YAML::Mark& mark, const std::string& tag) {
        if (tag.empty() || tag == "?" || tag == "!" || tag == "tag:yaml.org,2002:str") return;
        fault("yaml-tag", fmt::format("the tag {} is not supported", shown(tag)), place(mark),
              "remove it; only !!str is known");
    }

    bool is_merge_value() const {
        return !open_.empty() && open_.back().key && open_.back().key->text == "<<" && !open_.back().key->quoted;
    }

    void open(Node::Kind kind, const YAML::Mark& mark, const std::string& tag) {
        check_tag(mark, tag);
        if (open_.size() >= limits_.depth) {
            fault("yaml-depth", fmt::format("nested more than {} levels deep", limits_.depth), place(mark),
                  "a manifest needs fewer than ten");
            throw Stop();
        }
        Open opened;
        opened.node.kind = kind;
        opened.node.where = place(mark);
        open_.push_back(std::move(opened));
    }

    void close() {
        Node node = std::move(open_.back().node);
        open_.pop_back();
        attach(std::move(node));
    }

    void attach(Node node) {
        if (++nodes_ > limits_.nodes) {
            fault("yaml-size", fmt::format("more than {} values", limits_.nodes), node.where,
                  "split it into several stacks");
            throw Stop();
        }
        if (open_.empty()) {
            if (!node.is_null() && !has_hole_) documents_.push_back(std::move(node));
            return;
        }
        Open& parent = open_.back();
        if (parent.node.is_sequence()) {
            parent.node.items.push_back(std::move(node));
        } else if (!parent.key) {
            parent.key_is_usable = check_key(node);
            parent.key = std::move(node);
        } else {
            if (parent.key_is_usable) parent.node.pairs.push_back({std::move(*parent.key), std::move(node)});
            parent.key.reset();
        }
    }

    bool check_key(const Node& key) {
        if (!key.is_scalar()) {
            hole("yaml-key", key.is_null() ? "a key is missing" : "a key must be plain text, not a list or a map", key.where,
                 "write key: value; is a bracket or a quote missing?");
            return false;
        }
        if (key.text == "<<" && !key.quoted) {
            hole("yaml-merge", "merge keys (<<) are not supported", key.where,
                 "put what several containers share in a profile");
            return false;
        }
        if (escaped(key.text) != key.text && key.text.find_first_of("\n\r\t") != std::string::npos) {
            hole("yaml-key", fmt::format("the key {} has a line break or a tab", shown(key.text)), key.where, "remove it");
            return false;
        }
        return true;
    }

    /// Keeps the first of equal keys, so that the rest of the document can still be checked.
    void drop_duplicate_keys(Node& map) {
        std::vector<std::size_t> order(map.pairs.size());
        std::iota(order.begin(), order.end(), std::size_t{0});
        const auto key = [&](std::size_t i) -> const Node& { return map.pairs[i].key; };
        std::stable_sort(order.begin(), order.end(),
                         [&](std::size_t a, std::size_t b) { return key(a).text < key(b).text; });
        std::vector<std::pair<std::size_t, std::size_t>> repeated;  // second, first
        for (std::size_t i = 1, first = 0; i < order.size(); ++i) {
            if (key(order[i]).text == key(order[first]).text) repeated.emplace_back(order[i], order[first]);
            else first = i;
        }
        std::sort(repeated.begin(), repeated.end());
        for (const auto& [second, first] : repeated)
            fault("duplicate-key",
                  fmt::format("key {} is given twice, first at {}", shown(key(second).text), key(first).where.str()),
                  key(second).where, "remove one of them");
        for (auto it = repeated.rbegin(); it != repeated.rend(); ++it)
            map.pairs.erase(map.pairs.begin() + static_cast<std::ptrdiff_t>(it->first));
    }

    const YamlSource& source_;
    const YamlLimits& limits_;
    Diagnostics& diagnostics_;
    std::vector<Node> documents_;
    std::vector<Open> open_;
    std::size_t nodes_ = 0;
    std::size_t faults_ = 0;
    bool first_document_ = true;
    bool has_hole_ = false;
};

struct Reason {
    std::string_view theirs;
    std::string_view message;
    std::string_view hint;
};

/// yaml-cpp's reasons in words that say what to look at.
const Reason reasons[] = {
    {YAML::ErrorMsg::END_OF_MAP, "this line doesn't fit the map it stands in",
     "indent keys of one map equally and write key: value"},
    {YAML::ErrorMsg::END_OF_SEQ, "this line doesn't fit the list it stands in", "begin each item with - at the same column"},
    {YAML::ErrorMsg::END_OF_MAP_FLOW, "the map is not closed", "add }, or a comma between its keys"},
    {YAML::ErrorMsg::END_OF_SEQ_FLOW, "the list is not closed", "add ], or a comma between its items"},
    {YAML::ErrorMsg::MAP_VALUE, "a value is not possible here",
     "put text that has a colon and a blank in quotes; is the indentation right?"},
    {YAML::ErrorMsg::MAP_KEY, "a key is not possible here", "is the indentation right?"},
    {YAML::ErrorMsg::BLOCK_ENTRY, "a list item is not possible here",
     "is the indentation right? Begin a list on a line of its own"},
    {YAML::ErrorMsg::FLOW_END, "a bracket is closed that was not opened", "remove it, or put the text in quotes"},
    {YAML::ErrorMsg::TAB_IN_INDENTATION, "a tab is used to indent", "indent with blanks"},
    {YAML::ErrorMsg::EOF_IN_SCALAR, "the quoted text does not end", "add the closing quote"},
    {YAML::ErrorMsg::DOC_IN_SCALAR, "the quoted text does not end before the next document", "add the closing quote"},
    {YAML::ErrorMsg::CHAR_IN_SCALAR, "this character can't begin or continue a plain text", "put the text in quotes"},
    {YAML::ErrorMsg::UNKNOWN_TOKEN, "this character can't begin a value",
     "put the text in quotes; indent with blanks, not tabs"},
    {YAML::ErrorMsg::UNKNOWN_ANCHOR, "aliases (*name) are not supported",
     "write the value out, or put what is shared in a profile"},
    {YAML::ErrorMsg::BAD_FILE, "nested too deep", "a manifest needs fewer than ten levels"},
};

void report(const YAML::Exception& failure, const YamlSource& source, Diagnostics& diagnostics) {
    const SourceSpan where = failure.mark.is_null() ? source.place(1, 1)
                                                    : source.place(static_cast<unsigned>(failure.mark.line + 1),
                                                                   static_cast<unsigned>(failure.mark.column + 1));
    if (!failure.mark.is_null() && source.is_tab_indented(static_cast<std::size_t>(failure.mark.pos)))
        return diagnostics.error("yaml-syntax", "a tab is used to indent", where, "indent with blanks");
    for (const auto& reason : reasons)
        if (failure.msg.starts_with(reason.theirs))
            return diagnostics.error("yaml-syntax", std::string(reason.message), where, std::string(reason.hint));
    diagnostics.error("yaml-syntax", fmt::format("not valid YAML: {}", shown(failure.msg)), where,
                      "put text with special characters in quotes");
}

SourceSpan whole_file(std::string_view file_name) { return {std::make_shared<const std::string>(file_name), 1, 1, 0}; }

void report_size(std::string_view file_name, std::size_t limit, Diagnostics& diagnostics) {
    diagnostics.error("yaml-size", fmt::format("larger than {} bytes", limit), whole_file(file_name),
                      "split it into several stacks; is this a manifest?");
}

}  // namespace

std::vector<Node> load_yaml(std::string_view text, std::string_view file_name, Diagnostics& diagnostics,
                            const YamlLimits& limits) {
    if (text.size() > limits.bytes) {
        report_size(file_name, limits.bytes, diagnostics);
        return {};
    }
    if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
    const YamlSource source(text, file_name);
    if (!source.check_bytes(diagnostics)) return {};

    TreeBuilder builder(source, limits, diagnostics);
    try {
        TextBuffer buffer(text);
        std::istream stream(&buffer);
        YAML::Parser parser(stream);
        while (parser.HandleNextDocument(builder)) {
        }
    } catch (const Stop&) {
        return builder.take_documents();
    } catch (const YAML::Exception& failure) {
        report(failure, source, diagnostics);
    } catch (const std::exception& failure) {
        diagnostics.error("yaml-syntax", fmt::format("can't be read: {}", escaped(failure.what())), source.place(1, 1));
    }
    return builder.take_documents();
}

std::vector<Node> load_yaml_file(const std::filesystem::path& path, Diagnostics& diagnostics, const YamlLimits& limits) {
    const bool is_standard_input = path == "-";
    const std::string name = is_standard_input ? "<stdin>" : path.native();
    struct stat status {};
    if (!is_standard_input && ::stat(path.c_str(), &status) == 0) {
        if (S_ISREG(status.st_mode) && static_cast<std::size_t>(status.st_size) > limits.bytes) {
            report_size(name, limits.bytes, diagnostics);
            return {};
        }
    }
    const auto text = read_file(is_standard_input ? "/dev/stdin" : path, limits.bytes);
    if (text) return load_yaml(*text, name, diagnostics, limits);
    if (text.error().code() == ErrorCode::invalid) report_size(name, limits.bytes, diagnostics);
    else
        diagnostics.error("unreadable", escaped(text.error().message()), {std::make_shared<const std::string>(name)},
                          "check the path given with -f");
    return {};
}

}  // namespace ctl::model
