#include "drivers/lxc/held.h"

#include <unistd.h>

#include <cerrno>

#include <fmt/format.h>

#include "base/file.h"
#include "base/text.h"

namespace ctl::drivers::lxc {

std::optional<model::ContainerState> held_state(const Paths& paths, const std::string& name) {
    const auto text = read_file(paths.held(name), 64);
    return text ? model::enum_from<model::ContainerState>(trimmed(*text)) : std::nullopt;
}

Status hold(const Paths& paths, const std::string& name, model::ContainerState state) {
    return write_file_atomically(paths.held(name), fmt::format("{}\n", to_string(state)), 0640);
}

Status release(const Paths& paths, const std::string& name) {
    if (::unlink(paths.held(name).c_str()) != 0 && errno != ENOENT)
        return system_error(errno, fmt::format("delete {}", paths.held(name)));
    return ok();
}

}  // namespace ctl::drivers::lxc
