#include "diff/idle_waits.h"

#include <algorithm>
#include <set>

namespace ctl::diff {

using model::Container;
using model::ContainerState;
using model::ObjectId;
using model::ObjectKind;

namespace {

ContainerState state_of(const SharedEntry& entry) {
    const auto* container = entry ? std::get_if<Container>(&entry->object) : nullptr;
    return container != nullptr ? container->state.value_or(ContainerState::stopped) : ContainerState::stopped;
}

bool starts(const Change& change) {
    if (change.id.kind != ObjectKind::container || state_of(change.desired) == ContainerState::stopped) return false;
    switch (change.verb) {
        case Verb::create:
        case Verb::replace: return true;
        case Verb::update:
        case Verb::adopt:
            return state_of(change.observed) == ContainerState::stopped ||
                   (change.effect == model::Effect::restart && !change.deferred);
        default: return false;
    }
}

}  // namespace

void drop_idle_waits(const Input& input, std::map<ObjectId, Change>& changes) {
    std::set<ObjectId> awaited;
    for (const auto& [id, change] : changes) {
        const auto wanted = input.desired.find(id);
        if (!starts(change) || wanted == input.desired.end()) continue;
        for (const auto& need : wanted->second.needs)
            if (need.id.kind == ObjectKind::readiness) awaited.insert(need.id);
    }
    std::erase_if(changes, [&](const auto& item) {
        return item.first.kind == ObjectKind::readiness && !awaited.contains(item.first);
    });
}

}  // namespace ctl::diff
