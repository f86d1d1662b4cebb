#pragma once

#include <map>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "reconcile/reconciler.h"

// Images made of containers by hand. As snapshots they stand beside the manifest: no stack's record knows them until it
// declares them, so an apply neither makes nor deletes one.

namespace ctl::reconcile {

struct PublishWish {
    model::ResourceRef container;
    std::vector<std::string> names;  ///< the image's name, then further ones
    std::map<std::string, std::string> properties;
    bool shared = false;  ///< `public`
};

/// A plan that makes an image of a container, as one declared with a source of type container. Errors: not_found for a
/// container that isn't here, conflict for a name that is taken, invalid for one that can't be, and those of prepare().
[[nodiscard]] Result<Prepared> prepare_publish(const Environment& environment, const PublishWish& wish,
                                               std::stop_token stop = {});

/// A plan that deletes an image that no stack declares. Errors: not_found; conflict for one that its stack declares.
[[nodiscard]] Result<Prepared> prepare_image_removal(const Environment& environment, const std::string& name,
                                                     std::stop_token stop = {});

}  // namespace ctl::reconcile
