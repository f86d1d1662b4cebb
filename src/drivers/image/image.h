#pragma once

#include <ctime>
#include <stop_token>
#include <string>

#include "base/result.h"
#include "diff/change.h"
#include "drivers/api/store.h"
#include "model/host_state.h"

namespace ctl::drivers::image {

/// All images of the store, and directories in their place that are not ours.
[[nodiscard]] Result<model::HostState> observe_images(const std::string& state_dir);

/// Makes the root filesystem and the record that names it. Errors: invalid for archives that are no root filesystem or
/// not the one declared, conflict when the name is taken; nothing is left behind then.
[[nodiscard]] Status create_image(const std::string& state_dir, const std::string& name, const model::Entry& wanted,
                                  const std::stop_token& stop);

/// Sets the fields that a change names, or makes the image as create_image does if it names none. An image that is to follow
/// its source and has not looked at it for long does so now.
[[nodiscard]] Status update_image(const std::string& state_dir, const std::string& name, const diff::Change& change,
                                  const std::stop_token& stop);

/// How long an image that follows its source goes without looking at it, and how long after that went wrong; seconds.
inline constexpr std::time_t look_again = 6 * 3600;
inline constexpr std::time_t look_after_trouble = 600;

/// The image follows its source and should look at it.
[[nodiscard]] bool is_overdue(const ImageRecord& record, std::time_t now);

/// Looks at the source and takes what is new. What goes wrong there is no error but noted in the record, and the image stays
/// as it is.
[[nodiscard]] Status refresh_image(const std::string& state_dir, const std::string& name, const ImageRecord& record,
                                   const std::stop_token& stop);

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
