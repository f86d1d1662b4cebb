#include "cli/find_resource.h"

#include <fmt/format.h>

#include "base/text.h"

namespace ctl::cli {

Result<model::ResourceRef> find_resource(reconcile::Journal& journal, const std::string& kind, const std::string& name) {
    CTL_ASSIGN(const auto stacks, journal.stacks());
    for (const auto& stack : stacks) {
        CTL_ASSIGN(const auto resources, journal.resources(stack.name));
        for (const auto& resource : resources)
            if (resource.kind == kind && resource.name == name) return model::ResourceRef{stack.name, kind, name};
    }
    const model::ResourceRef wanted{{}, kind, name};
    return Error(ErrorCode::not_found, fmt::format("no stack has applied {}", escaped(wanted.str()))).hint("see: ctl get");
}

}  // namespace ctl::cli
