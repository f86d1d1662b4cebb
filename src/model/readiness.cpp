#include "model/readiness.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "base/text.h"
#include "model/value_types.h"

namespace ctl::model {

namespace {

using resource::Dependency;

constexpr std::int64_t usual_timeout = 60;        ///< seconds
constexpr std::int64_t cloud_init_timeout = 600;  ///< it installs packages
constexpr std::int64_t longest_timeout = 86400;
constexpr std::array conditions{"started", "address", "cloud-init"};

Value scalar(const Node& node, std::string_view name) {
    const Node* field = node.find(name);
    return field != nullptr ? value_of(*field) : Value{};
}

/// One word of a command as a shell would want it, for people.
std::string shown(const std::string& word) {
    return word.empty() || word.find_first_of(" \t\"") != std::string::npos ? quoted(word) : word;
}

std::string condition_of(const Dependency& dependency) {
    if (!dependency.port.empty()) return "port";
    if (!dependency.exec.empty()) return "exec";
    return dependency.until.empty() ? "started" : dependency.until.text;
}

std::vector<std::string> arguments_of(const Dependency& dependency) {
    std::vector<std::string> arguments;
    if (!dependency.port.empty()) arguments.push_back(dependency.port.text);
    for (const auto& word : dependency.exec) arguments.push_back(word.text);
    return arguments;
}

std::int64_t timeout_of(const Dependency& dependency) {
    if (const auto given = parse_int(dependency.timeout.text, 1, longest_timeout)) return *given;
    return dependency.until.text == "cloud-init" ? cloud_init_timeout : usual_timeout;
}

/// "db:port:22"
std::string readiness_name(const Dependency& dependency) {
    std::string name = fmt::format("{}:{}", dependency.container.text, condition_of(dependency));
    std::vector<std::string> words;
    for (const auto& argument : arguments_of(dependency)) words.push_back(shown(argument));
    if (!words.empty()) name += ":" + joined(words, " ");
    return name;
}

}  // namespace

std::vector<Dependency> read_depends_on(const Node* list) {
    std::vector<Dependency> dependencies;
    if (list == nullptr) return dependencies;
    for (const auto& item : list->items) {
        Dependency dependency;
        if (item.is_scalar()) dependency.container = value_of(item);
        if (item.is_map()) {
            dependency.container = scalar(item, "container");
            dependency.until = scalar(item, "until");
            dependency.port = scalar(item, "port");
            dependency.timeout = scalar(item, "timeout");
            if (const Node* command = item.find("exec"))
                for (const auto& word : command->items)
                    if (word.is_scalar()) dependency.exec.push_back(value_of(word));
        }
        // Without one the schema has told.
        if (!dependency.container.empty()) dependencies.push_back(std::move(dependency));
    }
    return dependencies;
}

void validate_readiness(Validation& validation, const Dependency& dependency) {
    const int asked =
        (dependency.until.empty() ? 0 : 1) + (dependency.port.empty() ? 0 : 1) + (dependency.exec.empty() ? 0 : 1);
    if (asked > 1)
        validation.error("bad-condition", "a container can be waited for until one thing only: until, port or exec",
                         dependency.container.where, "list it once for each");
    if (!dependency.until.empty() &&
        std::find(conditions.begin(), conditions.end(), dependency.until.text) == conditions.end())
        validation.error("bad-condition", fmt::format("{} is nothing to wait for", quoted(dependency.until.text)),
                         dependency.until.where, "write started, address or cloud-init; or port: 22; or exec: [command]");
    if (!dependency.port.empty() && !parse_int(dependency.port.text, 1, 65535))
        validation.error("bad-value", fmt::format("{} is not a port", quoted(dependency.port.text)), dependency.port.where,
                         "write a number from 1 to 65535");
    if (!dependency.timeout.empty() && !parse_int(dependency.timeout.text, 1, longest_timeout))
        validation.error("bad-value", fmt::format("{} is not a time to wait", quoted(dependency.timeout.text)),
                         dependency.timeout.where, "write seconds, from 1 to 86400");
}

void lower_depends_on(Lowering& lowering, const resource::Container& container, std::vector<Need>& needs) {
    for (const auto& dependency : container.depends_on) {
        const ObjectId other{ObjectKind::container, dependency.container.text};
        needs.push_back({other, Bond::order});
        const std::string condition = condition_of(dependency);
        if (condition == "started") continue;
        Readiness readiness;
        readiness.condition = condition;
        readiness.arguments = arguments_of(dependency);
        readiness.timeout = timeout_of(dependency);
        const ObjectId id{ObjectKind::readiness, readiness_name(dependency)};
        // Two that wait for the same wait together, as long as the more patient of them.
        if (const auto* known = find_object<Readiness>(lowering.desired, id.name))
            readiness.timeout = std::max(*readiness.timeout, known->timeout.value_or(0));
        Entry& entry = lowering.add(id, readiness, {lowering.stack.name, "Container", dependency.container.text},
                                    dependency.container.where);
        entry.needs = {{other, Bond::order}};
        needs.push_back({id, Bond::order});
    }
}

}  // namespace ctl::model
