#pragma once

#include <span>

#include "model/host_state.h"
#include "reconcile/journal.h"

namespace ctl::reconcile {

/// What to remember of an object whose change to `wanted` may have been done in part: all fields and members that the old
/// record or the new one has, so that what is not wanted in the end is still known as ours. `old` may be null.
[[nodiscard]] model::Entry grown_record(const model::Entry* old, const model::Entry& wanted);

/// True if the host shows the object and it is, or may be, our making.
[[nodiscard]] bool is_there_and_ours(const model::HostState& observed, const model::ObjectId& id,
                                     const model::Entry& wanted);

/// The record with the steps of dead runs judged by what the host shows: what they made is remembered, what they deleted is
/// forgotten, what they left undone is for the next plan. Pure.
[[nodiscard]] model::HostState recovered_record(model::HostState recorded, std::span<const UnfinishedStep> steps,
                                                const model::HostState& observed);

/// What dead runs began to make or to delete, that the host does not show and nobody wants any more: something that does not
/// look like the object may be left of it. As entries of half-made objects, so that a plan deletes them once more. Pure.
[[nodiscard]] model::HostState possible_remains(std::span<const UnfinishedStep> steps, const model::HostState& recorded,
                                                const model::HostState& observed, const model::HostState& desired);

}  // namespace ctl::reconcile
