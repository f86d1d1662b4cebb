#include "reconcile/verify.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "diff/diff.h"

namespace ctl::reconcile {

namespace {

std::string value_text(const std::optional<model::FieldValue>& value) { return value ? model::to_text(*value) : "not set"; }

Error diverging(const model::ObjectId& id, const std::string& what) {
    return {ErrorCode::diverging, fmt::format("{} {}", escaped(id.str()), what)};
}

Error still_unmet(const model::ObjectId& id, const std::vector<diff::FieldChange>& fields) {
    std::string what = "is not as wanted";
    for (const auto& field : fields) {
        if (field.name.empty()) return diverging(id, "is not there although it was made");
        what += fmt::format(", {} is {} instead of {}", field.name, value_text(field.from), value_text(field.to));
    }
    return diverging(id, what);
}

/// A deferred change is stored; what only a restart brings about isn't expected yet.
void drop_deferred(std::vector<diff::FieldChange>& fields) {
    std::erase_if(fields, [](const diff::FieldChange& field) { return field.effect == model::Effect::restart; });
}

bool runs(const model::Object& object) {
    const auto* container = std::get_if<model::Container>(&object);
    return container != nullptr && container->state == model::ContainerState::running;
}

}  // namespace

Status verified(const diff::Change& change, const model::HostState& seen) {
    const auto found = seen.find(change.id);
    const model::Object* object = found != seen.end() ? &found->second.object : nullptr;
    switch (change.verb) {
        case diff::Verb::forget: return ok();
        case diff::Verb::remove:
            if (object != nullptr) return diverging(change.id, "is still there although it was deleted");
            return ok();
        case diff::Verb::stop:
            if (object != nullptr && runs(*object)) return diverging(change.id, "is still running although it was stopped");
            return ok();
        case diff::Verb::create:
        case diff::Verb::update:
        case diff::Verb::adopt:
        case diff::Verb::replace: break;
    }
    if (!change.desired) return ok();
    auto fields = diff::unmet(change.desired->object, object);
    if (change.deferred) drop_deferred(fields);
    if (!fields.empty()) return still_unmet(change.id, fields);
    return ok();
}

}  // namespace ctl::reconcile
