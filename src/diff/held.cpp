#include "diff/held.h"

#include <fmt/format.h>

namespace ctl::diff {

using model::Container;
using model::ContainerState;
using model::HostState;

namespace {

/// What ends it, as a person types it.
std::string_view way_back(ContainerState held) {
    switch (held) {
        case ContainerState::running: return "stop";
        case ContainerState::stopped: return "start";
        case ContainerState::frozen: return "unfreeze";
    }
    return {};
}

void tell(Diagnostics& notes, const model::ObjectId& id, ContainerState held, ContainerState wanted,
          const SourceSpan& where) {
    const std::string message = held == ContainerState::running
                                    ? fmt::format("{} was started by ctl start and is left running", id.str())
                                    : fmt::format("{} is {} by ctl {} and is left so", id.str(), to_string(held),
                                                  held == ContainerState::stopped ? "stop" : "freeze");
    notes.note("held", fmt::format("{}; the manifest says {}", message, to_string(wanted)), where,
               fmt::format("ctl {} {} ends that", way_back(held), id.name));
}

}  // namespace

std::optional<HostState> with_held_states(const Input& input, Diagnostics& notes) {
    std::optional<HostState> desired;
    for (const auto& [id, seen] : input.observed) {
        const auto wanted = input.desired.find(id);
        if (!seen.held || wanted == input.desired.end()) continue;
        const auto* now = std::get_if<Container>(&seen.object);
        const auto* wish = std::get_if<Container>(&wanted->second.object);
        const auto* was = find_object<Container>(input.recorded, id.name);
        if (now == nullptr || wish == nullptr || !now->state || !wish->state || wish->state == now->state) continue;
        if (was != nullptr && was->state && was->state != wish->state) continue;
        tell(notes, id, *now->state, *wish->state, wanted->second.where);
        if (!desired) desired = input.desired;
        auto& entry = desired->at(id);
        std::get<Container>(entry.object).state = now->state;
        entry.held = true;
    }
    return desired;
}

}  // namespace ctl::diff
