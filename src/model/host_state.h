#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/source_span.h"
#include "model/object.h"

namespace ctl::model {

/// A resource a person declared, in a stack: {"lab", "Container", "web"}. An empty stack means nobody's.
struct ResourceRef {
    std::string stack;
    std::string kind;
    std::string name;

    auto operator<=>(const ResourceRef&) const = default;
    /// "Container/web"
    [[nodiscard]] std::string str() const { return kind + "/" + name; }
};

/// What it means for an object when one it needs is replaced.
enum class Bond {
    order,    ///< nothing: only made after it and deleted before it
    reapply,  ///< its own settings have to be applied again (a port's master)
    restart,  ///< the container has to stop before and start after
    rebuild,  ///< it is gone with it and has to be made again (a link in a namespace)
};

struct Need {
    ObjectId id;
    Bond bond = Bond::order;

    auto operator<=>(const Need&) const = default;
};

/// How far the host itself says that a thing is ours.
enum class Mark {
    none,      ///< not at all: somebody else's
    begun,     ///< made by us, its full mark not yet written (a crash in between)
    unnamed,   ///< made by us, but there is no room on it to say for whom (a route)
    complete,  ///< names its stack and resource: see Entry::owner
};

/// What to do with a running container when a change needs a restart.
enum class OnRestartNeeded { restart, defer, never };

template <>
struct EnumNames<OnRestartNeeded> {
    static constexpr std::array<std::pair<OnRestartNeeded, std::string_view>, 3> names{{
        {OnRestartNeeded::restart, "restart"},
        {OnRestartNeeded::defer, "defer"},
        {OnRestartNeeded::never, "never"},
    }};
};

/// What a person said about an object's life.
struct Lifecycle {
    bool prevent_destroy = false;  ///< deleting or replacing it is refused at plan time
    bool prune = true;             ///< false: leaving the stack forgets it instead of deleting it
    OnRestartNeeded on_restart_needed = OnRestartNeeded::restart;

    bool operator==(const Lifecycle&) const = default;
};

/// An object with what is known about it.
struct Entry {
    Object object;
    std::vector<Need> needs;  ///< desired and recorded; sorted
    ResourceRef owner;        ///< observed: as its mark says
    SourceSpan where;         ///< desired: where its resource stands
    Mark mark = Mark::none;   ///< observed only
    bool borrowed = false;    ///< others make and delete it; we only set fields (a physical NIC, a sysctl)
    bool held = false;        ///< observed: a person stopped, started or froze it by hand and wants it to stay so
    Lifecycle lifecycle;
    std::map<std::string, SourceSpan> places{};  ///< desired: where each field's value was written
};

/// Desired, observed and recorded are this one type.
using HostState = std::map<ObjectId, Entry>;

/// The object of that type and name, or null.
template <typename T>
[[nodiscard]] const T* find_object(const HostState& state, const std::string& name) {
    const auto found = state.find({T::kind, name});
    return found != state.end() ? std::get_if<T>(&found->second.object) : nullptr;
}

}  // namespace ctl::model
