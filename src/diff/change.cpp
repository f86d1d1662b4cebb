#include "diff/change.h"

#include <array>

#include <fmt/format.h>

namespace ctl::diff {

namespace {

constexpr std::array<std::pair<Verb, std::string_view>, 7> verbs{{
    {Verb::create, "create"},
    {Verb::update, "update"},
    {Verb::replace, "replace"},
    {Verb::remove, "delete"},
    {Verb::adopt, "adopt"},
    {Verb::forget, "forget"},
    {Verb::stop, "stop"},
}};

}  // namespace

std::string_view to_string(Verb verb) {
    for (const auto& [candidate, name] : verbs)
        if (candidate == verb) return name;
    return {};
}

std::optional<Verb> verb_from(std::string_view text) {
    for (const auto& [candidate, name] : verbs)
        if (name == text) return candidate;
    return std::nullopt;
}

std::string_view to_string(model::Effect effect) {
    switch (effect) {
        case model::Effect::live: return "live";
        case model::Effect::hotplug: return "hotplug";
        case model::Effect::restart: return "restart";
        case model::Effect::replace: return "replace";
        case model::Effect::fixed: return "fixed";
    }
    return {};
}

std::string_view to_string(Cause cause) {
    switch (cause) {
        case Cause::changed: return "changed";
        case Cause::drift: return "drift";
        case Cause::unset: return "unset";
    }
    return {};
}

Error refusal(Error why, const Change& change) {
    Error error = std::move(why).while_(fmt::format("checking {}", change.id.str()));
    return change.desired ? std::move(error).at(change.desired->where) : std::move(error);
}

}  // namespace ctl::diff
