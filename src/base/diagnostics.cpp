#include "base/diagnostics.h"

#include <algorithm>
#include <tuple>

namespace ctl {

void Diagnostics::error(std::string rule, std::string message, SourceSpan where, std::string hint) {
    add({Severity::error, std::move(rule), std::move(message), std::move(where), std::move(hint)});
}

void Diagnostics::warning(std::string rule, std::string message, SourceSpan where, std::string hint) {
    add({Severity::warning, std::move(rule), std::move(message), std::move(where), std::move(hint)});
}

void Diagnostics::note(std::string rule, std::string message, SourceSpan where, std::string hint) {
    add({Severity::note, std::move(rule), std::move(message), std::move(where), std::move(hint)});
}

void Diagnostics::add(Diagnostic diagnostic) {
    if (diagnostic.severity == Severity::error) ++errors_;
    all_.push_back(std::move(diagnostic));
}

void Diagnostics::append(const Diagnostics& other) {
    for (const auto& diagnostic : other.all_) add(diagnostic);
}

void Diagnostics::sort_by_place() {
    const auto place = [](const Diagnostic& d) {
        return std::tuple(d.where.file ? std::string_view(*d.where.file) : std::string_view(), d.where.line, d.where.column);
    };
    std::stable_sort(all_.begin(), all_.end(),
                     [&](const Diagnostic& a, const Diagnostic& b) { return place(a) < place(b); });
}

}  // namespace ctl
