#include "diff/restore.h"

namespace ctl::diff {

std::string restored_snapshot(const Change& change) {
    if (change.id.kind != model::ObjectKind::volume) return {};
    for (const auto& field : change.fields) {
        const auto* name = field.name == restored_field && field.to ? std::get_if<std::string>(&*field.to) : nullptr;
        if (name != nullptr) return *name;
    }
    return {};
}

}  // namespace ctl::diff
