#pragma once

#include <map>
#include <string>
#include <string_view>

#include "base/result.h"

namespace ctl::drivers::lxc {

/// What an image's template can ask for, by dotted name: "container.name", "properties.default", "trigger". A name that
/// isn't there is an empty text, as in LXD.
using TemplateNames = std::map<std::string, std::string, std::less<>>;

/// Fills in a template in that part of the language (pongo2, which is Django's) that images of distributions use:
/// {{ EXPRESSION }}, {% if %} {% elif %} {% else %} {% endif %} with == != and or not, {# remarks #}, names, "texts",
/// config_get("key", "otherwise"), and the filters default, lower, upper and safe. The container's keys are not known here:
/// config_get always gives its second argument. Errors: unsupported, which says what it was, for anything else.
[[nodiscard]] Result<std::string> render_template(std::string_view text, const TemplateNames& names);

}  // namespace ctl::drivers::lxc
