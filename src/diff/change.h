#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "diff/shared_entry.h"
#include "model/host_state.h"

namespace ctl::diff {

enum class Verb {
    create,
    update,
    replace,  ///< delete, then create; the planner splits it, drivers never see it
    remove,   ///< "delete" to people
    adopt,    ///< take over what is there
    forget,   ///< drop our record and mark, leave the thing
    stop,     ///< planner's: stop a container before what it stands on is changed; a later update or create starts it
};

/// "create", "update", "replace", "delete", "adopt", "forget", "stop".
[[nodiscard]] std::string_view to_string(Verb verb);
[[nodiscard]] std::optional<Verb> verb_from(std::string_view text);
[[nodiscard]] std::string_view to_string(model::Effect effect);

/// Why a field differs.
enum class Cause {
    changed,  ///< the manifest says something new
    drift,    ///< the host moved away from what we applied
    unset,    ///< the manifest no longer mentions it
};
[[nodiscard]] std::string_view to_string(Cause cause);

struct FieldChange {
    std::string name;
    std::optional<model::FieldValue> from;  ///< observed
    std::optional<model::FieldValue> to;    ///< absent: back to the kind's default
    model::Effect effect = model::Effect::live;
    Cause cause = Cause::changed;
    SourceSpan where;  ///< where the manifest says so
};

/// What is to happen to one object, and why.
struct Change {
    model::ObjectId id;
    Verb verb = Verb::update;
    model::Effect effect = model::Effect::live;  ///< the dearest of its fields'
    std::vector<FieldChange> fields{};           ///< create and delete list none: `desired` and `observed` say all
    std::string reason{};                        ///< for people: "new in the stack", "gone from the host", "mtu changed"
    bool deferred = false;  ///< stored now, effective when the container restarts (on_restart_needed: defer)
    /// The object as it shall be, with the members that others put into merged sets. Absent for delete and forget.
    SharedEntry desired{};
    /// The object as it was observed. Absent when it isn't there.
    SharedEntry observed{};
};

/// Why a driver can't make this change, with the object's name and where the manifest speaks of it.
[[nodiscard]] Error refusal(Error why, const Change& change);

}  // namespace ctl::diff
