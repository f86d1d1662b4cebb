#pragma once

#include <string>

#include "base/result.h"
#include "model/host_state.h"

namespace ctl::drivers::image {

/// All images of the store, and directories in their place that are not ours.
[[nodiscard]] Result<model::HostState> observe_images(const std::string& state_dir);

/// Makes the root filesystem and the record that names it. Errors: invalid for archives that are no root filesystem or
/// not the one declared, conflict when the name is taken; nothing is left behind then.
[[nodiscard]] Status create_image(const std::string& state_dir, const std::string& name, const model::Entry& wanted);

/// Checks without writing that create_image can work.
[[nodiscard]] Status check_image(const std::string& state_dir, const model::Entry& wanted);

/// Removes the name, and the root filesystem if nothing else needs it. Nothing there is success.
[[nodiscard]] Status remove_image(const std::string& state_dir, const std::string& name, const model::ResourceRef& owner);

/// Writes another owner into an image's mark; nobody when `owner` is null.
[[nodiscard]] Status mark_image(const std::string& state_dir, const std::string& name, const model::ResourceRef* owner);

/// Deletes what an interrupted run left half made or half deleted.
[[nodiscard]] Status sweep_images(const std::string& state_dir);

/// Errors: invalid when the name can't be a directory of the store.
[[nodiscard]] Status check_image_name(const std::string& name);

}  // namespace ctl::drivers::image
