#pragma once

#include <initializer_list>
#include <string>
#include <string_view>

#include "base/result.h"
#include "model/object.h"

// What liblxc has no key for is kept in comments of a container's config, so that it comes and goes with the container:
// "#= stop_timeout 30".

namespace ctl::drivers::lxc {

/// The lines, each with its end, of those of the fields that the container has.
[[nodiscard]] std::string own_lines(const model::Container& container, std::initializer_list<std::string_view> fields);

[[nodiscard]] bool is_own_line(std::string_view line);
/// Takes one such line into its field. False for what own_lines would not have written.
bool read_own_line(std::string_view line, model::Container& container);

}  // namespace ctl::drivers::lxc
