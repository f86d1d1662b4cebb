#include "drivers/lxc/template_text.h"

#include <algorithm>
#include <cctype>
#include <vector>

#include <fmt/format.h>

#include "base/text.h"

namespace ctl::drivers::lxc {

namespace {

constexpr int deepest = 32;
constexpr std::size_t longest = std::size_t{4} << 20;

Error unsupported(std::string_view what) {
    return Error(ErrorCode::unsupported, fmt::format("the template uses {}, which is not supported", ctl::quoted(what)))
        .hint("see docs/reference/images.md for what is");
}

bool is_true(std::string_view text) { return !text.empty() && text != "false" && text != "False" && text != "0"; }

/// An expression between braces, from left to right; its value is always a text.
class Expression {
public:
    Expression(std::string_view text, const TemplateNames& names) : text_(text), names_(names) {}

    Result<std::string> value() {
        CTL_ASSIGN(std::string found, either());
        skip_blanks();
        if (at_ != text_.size()) return unsupported(text_.substr(at_));
        return found;
    }

private:
    void skip_blanks() {
        while (at_ < text_.size() && std::isspace(static_cast<unsigned char>(text_[at_])) != 0) ++at_;
    }

    bool take(std::string_view word) {
        skip_blanks();
        if (!text_.substr(at_).starts_with(word)) return false;
        const std::size_t end = at_ + word.size();
        const bool is_word = std::isalpha(static_cast<unsigned char>(word.front())) != 0;
        if (is_word && end < text_.size() && is_name_part(text_[end])) return false;
        at_ = end;
        return true;
    }

    static bool is_name_part(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '.'; }
    static std::string truth(bool value) { return value ? "true" : ""; }

    Result<std::string> either() {
        if (++depth_ > deepest) return unsupported("expressions nested so deep");
        CTL_ASSIGN(std::string left, both());
        while (take("or") || take("||")) {
            CTL_ASSIGN(const std::string right, both());
            left = truth(is_true(left) || is_true(right));
        }
        --depth_;
        return left;
    }

    Result<std::string> both() {
        CTL_ASSIGN(std::string left, compared());
        while (take("and") || take("&&")) {
            CTL_ASSIGN(const std::string right, compared());
            left = truth(is_true(left) && is_true(right));
        }
        return left;
    }

    Result<std::string> compared() {
        if (take("not") || (text_.substr(at_).starts_with('!') && !text_.substr(at_).starts_with("!=") && take("!"))) {
            if (++depth_ > deepest) return unsupported("expressions nested so deep");
            CTL_ASSIGN(const std::string negated, compared());
            --depth_;
            return truth(!is_true(negated));
        }
        CTL_ASSIGN(std::string left, filtered());
        const bool equal = take("==");
        if (!equal && !take("!=") && !take("<>")) return left;
        CTL_ASSIGN(const std::string right, filtered());
        return truth((left == right) == equal);
    }

    Result<std::string> filtered() {
        CTL_ASSIGN(std::string text, single());
        while (take("|")) {
            skip_blanks();
            const std::string filter = name();
            if (filter == "default") {
                if (!take(":")) return unsupported("default without an argument");
                CTL_ASSIGN(const std::string otherwise, single());
                if (text.empty()) text = otherwise;
            } else if (filter == "lower" || filter == "upper") {
                for (char& c : text)
                    c = static_cast<char>(filter == "lower" ? std::tolower(static_cast<unsigned char>(c))
                                                            : std::toupper(static_cast<unsigned char>(c)));
            } else if (filter != "safe") {
                return unsupported("|" + filter);
            }
        }
        return text;
    }

    std::string name() {
        const std::size_t start = at_;
        while (at_ < text_.size() && is_name_part(text_[at_])) ++at_;
        return std::string(text_.substr(start, at_ - start));
    }

    Result<std::string> single() {
        skip_blanks();
        if (at_ == text_.size()) return unsupported(text_);
        const char first = text_[at_];
        if (first == '"' || first == '\'') return literal(first);
        if (take("(")) {
            CTL_ASSIGN(std::string inner, either());
            if (!take(")")) return unsupported(text_);
            return inner;
        }
        const std::string word = name();
        if (word.empty()) return unsupported(text_.substr(at_));
        if (take("(")) return call(word);
        if (std::isdigit(static_cast<unsigned char>(word.front())) != 0 || word == "true") return word;
        const auto found = names_.find(word);
        return found != names_.end() ? found->second : std::string();
    }

    Result<std::string> literal(char quote) {
        std::string text;
        for (++at_; at_ < text_.size() && text_[at_] != quote; ++at_) {
            if (text_[at_] == '\\' && at_ + 1 < text_.size()) ++at_;
            text += text_[at_];
        }
        if (at_ == text_.size()) return unsupported("a text without an end");
        ++at_;
        return text;
    }

    Result<std::string> call(const std::string& function) {
        std::vector<std::string> arguments;
        while (!take(")")) {
            if (!arguments.empty() && !take(",")) return unsupported(text_);
            CTL_ASSIGN(std::string argument, either());
            arguments.push_back(std::move(argument));
        }
        if (function != "config_get" || arguments.empty() || arguments.size() > 2) return unsupported(function + "()");
        return arguments.size() == 2 ? arguments[1] : std::string();
    }

    std::string_view text_;
    const TemplateNames& names_;
    std::size_t at_ = 0;
    int depth_ = 0;
};

/// An {% if %} that isn't closed yet.
struct Branch {
    bool is_shown;   ///< this part of it is
    bool was_shown;  ///< this part or one before
    bool has_else = false;
};

class Rendering {
public:
    Rendering(std::string_view text, const TemplateNames& names) : text_(text), names_(names) {}

    Result<std::string> run() {
        while (!text_.empty()) {
            const std::size_t open = text_.find('{');
            const std::string_view mark = open == std::string_view::npos ? "" : text_.substr(open, 2);
            const bool is_mark = mark == "{{" || mark == "{%" || mark == "{#";
            emit(text_.substr(0, open == std::string_view::npos ? open : is_mark ? open : open + 1));
            if (open == std::string_view::npos) break;
            text_.remove_prefix(is_mark ? open + 2 : open + 1);
            if (is_mark) CTL_TRY(take_mark(mark));
            if (out_.size() > longest) return Error(ErrorCode::invalid, "the template's text gets too long");
        }
        if (!branches_.empty()) return unsupported("if without endif");
        return std::move(out_);
    }

private:
    [[nodiscard]] bool is_shown() const {
        return std::all_of(branches_.begin(), branches_.end(), [](const Branch& branch) { return branch.is_shown; });
    }
    void emit(std::string_view piece) {
        if (is_shown()) out_ += piece;
    }

    Status take_mark(std::string_view mark) {
        const std::string_view end = mark == "{{" ? "}}" : mark == "{%" ? "%}" : "#}";
        const std::size_t close = text_.find(end);
        if (close == std::string_view::npos) return unsupported(fmt::format("{} without {}", mark, end));
        const std::string_view inner = trimmed(text_.substr(0, close));
        text_.remove_prefix(close + 2);
        if (mark == "{#") return ok();
        if (mark == "{%") return take_tag(inner);
        if (!is_shown()) return ok();
        CTL_ASSIGN(const std::string value, Expression(inner, names_).value());
        emit(value);
        return ok();
    }

    Status take_tag(std::string_view tag) {
        if (tag == "endif") {
            if (branches_.empty()) return unsupported("endif without if");
            branches_.pop_back();
            return ok();
        }
        if (tag == "else" || tag.starts_with("elif ")) {
            if (branches_.empty() || branches_.back().has_else) return unsupported(tag);
            Branch& branch = branches_.back();
            branch.has_else = tag == "else";
            branch.is_shown = false;
            CTL_ASSIGN(const bool holds, tag == "else" ? Result<bool>(true) : condition(tag.substr(5)));
            branch.is_shown = holds && !branch.was_shown;
            branch.was_shown = branch.was_shown || branch.is_shown;
            return ok();
        }
        if (!tag.starts_with("if ") || branches_.size() >= deepest) return unsupported(tag);
        CTL_ASSIGN(const bool holds, condition(tag.substr(3)));
        branches_.push_back({holds, holds});
        return ok();
    }

    Result<bool> condition(std::string_view text) const {
        CTL_ASSIGN(const std::string value, Expression(text, names_).value());
        return is_true(value);
    }

    std::string_view text_;
    const TemplateNames& names_;
    std::string out_;
    std::vector<Branch> branches_;
};

}  // namespace

Result<std::string> render_template(std::string_view text, const TemplateNames& names) {
    return Rendering(text, names).run();
}

}  // namespace ctl::drivers::lxc
