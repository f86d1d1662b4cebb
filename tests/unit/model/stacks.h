#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <string_view>

#include "model/lower.h"
#include "model/parse.h"
#include "model/validate.h"
#include "model/yaml.h"

// From a manifest's text to what the model makes of it, in one step.

namespace ctl::testing {

/// "LINE:rule" of every fault, in the order of the file; lines count from `first_line`.
inline std::string faults(std::string_view yaml, int first_line = 1) {
    Diagnostics diagnostics;
    const auto documents = model::load_yaml(yaml, "f", diagnostics);
    model::validate(model::parse(documents, "lab", diagnostics), diagnostics);
    diagnostics.sort_by_place();
    std::string rules;
    for (const auto& diagnostic : diagnostics.all()) {
        if (diagnostic.severity != Severity::error) continue;
        if (!rules.empty()) rules += " ";
        rules += std::to_string(static_cast<int>(diagnostic.where.line) - first_line + 1) + ":" + diagnostic.rule;
    }
    return rules;
}

/// A stack called lab, which must have no faults.
inline model::resource::Stack valid_stack(std::string_view yaml) {
    Diagnostics diagnostics;
    const auto documents = model::load_yaml(yaml, "stack.yaml", diagnostics);
    auto stack = model::parse(documents, "lab", diagnostics);
    model::validate(stack, diagnostics);
    for (const auto& diagnostic : diagnostics.all()) CAPTURE(diagnostic.message);
    REQUIRE_FALSE(diagnostics.has_errors());
    return stack;
}

inline model::Lowered lowered(std::string_view yaml, const model::Allocations& known = {},
                              const model::Allocations& taken = {},
                              const model::HostLayout& layout = {"/state", "/run/ctl", "/stacks"}) {
    return model::lower(valid_stack(yaml), known, layout, taken);
}

/// The desired object of that type and name, which must be there.
template <typename T>
const T& object(const model::Lowered& result, const std::string& name) {
    const T* found = model::find_object<T>(result.desired, name);
    REQUIRE_MESSAGE(found != nullptr, name);
    return *found;
}

inline bool has_need(const model::Lowered& result, const model::ObjectId& from, const model::Need& need) {
    const auto& needs = result.desired.at(from).needs;
    return std::find(needs.begin(), needs.end(), need) != needs.end();
}

}  // namespace ctl::testing
