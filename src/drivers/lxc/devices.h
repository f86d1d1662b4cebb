#pragma once

#include <sys/types.h>

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "base/result.h"
#include "drivers/lxc/cgroups.h"
#include "drivers/lxc/config_file.h"
#include "model/object.h"

// Device nodes of containers. Nobody can make one in an unprivileged container: ctl makes it in the container's directory on
// the host, with the ids that the container sees as the wanted ones, and binds it to its place.

namespace ctl::drivers::lxc {

using Devices = std::map<std::string, std::string>;  ///< see model::Container::devices

/// One member of model::Container::devices, taken apart.
struct DeviceSpec {
    bool block = false;
    std::string source;  ///< the host's device that it is; empty with `numbers`
    std::optional<dev_t> numbers{};
    unsigned mode = 0;
    std::uint32_t uid = 0;  ///< as the container sees it
    std::uint32_t gid = 0;
    bool optional = false;
};

/// `invalid` for what is not in that form.
[[nodiscard]] Result<DeviceSpec> parse_device(std::string_view path, std::string_view text);

/// Its numbers: those written, or the source's. `not_found` when there is no such device; `invalid` when the source is
/// another kind of file.
[[nodiscard]] Result<dev_t> device_numbers(const DeviceSpec& spec);

/// The node on the host for the container's `path`.
[[nodiscard]] std::string device_node(const ConfigPlace& place, std::string_view path);

/// Config lines, each with its end, that bind the nodes and, for a privileged container, allow their use. `cgroup_prefix`:
/// what the keys of the devices controller begin with.
[[nodiscard]] Result<std::string> device_lines(const model::Container& container, const ConfigPlace& place,
                                               std::string_view cgroup_prefix);

/// The error of the first device that can't be given to the container: missing on the host, ids it does not have.
[[nodiscard]] Status check_devices(const model::Container& container);

/// Makes the nodes of all devices, new each time, and removes others.
[[nodiscard]] Status make_nodes(const model::Container& container, const ConfigPlace& place);
/// Removes them with their directory.
[[nodiscard]] Status remove_nodes(const ConfigPlace& place);

/// Those of `container.devices` that the container of process `init` has now, as they are.
[[nodiscard]] Devices present_devices(pid_t init, const model::Container& container);

/// Takes out of the running container what `from` has and `next` has not, and puts in what is new. Changed ones go and come.
/// `unsupported`, with nothing changed, for a privileged container on cgroup version 2.
[[nodiscard]] Status replug_devices(const std::string& helper, pid_t init, const Devices& from, const model::Container& next,
                                    const ConfigPlace& place, const Cgroups& cgroups);

}  // namespace ctl::drivers::lxc
