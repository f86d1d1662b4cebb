#include "base/file.h"
#include "drivers/api/mark.h"
#include "drivers/lxc/changes.h"
#include "drivers/lxc/config_file.h"
#include "drivers/lxc/devices.h"
#include "drivers/lxc/held.h"
#include "drivers/lxc/limits.h"
#include "drivers/lxc/mounts.h"
#include "drivers/lxc/seed.h"

namespace ctl::drivers::lxc {

namespace {

void read_running(const Host& host, const std::string& name, const std::string& config, model::Container& container) {
    const auto started_text = read_file(host.paths.started(name));
    model::Container started = container;
    if (started_text && *started_text != config) started = parse_config(*started_text, host.paths.place(name)).container;
    container.rootfs = started.rootfs;
    container.idmap = started.idmap;
    container.environment = started.environment;
    container.kernel_limits = started.kernel_limits;
    container.seccomp = started.seccomp;
    container.raw = started.raw;
    container.mounts = started.mounts;
    container.devices = started.devices;
    const bool has_mounts = started.mounts && !started.mounts->empty();
    const pid_t init = started.devices || has_mounts ? host.monitors.init_pid(name) : -1;
    if (init > 0 && started.devices) container.devices = present_devices(init, started);
    if (init > 0 && has_mounts) container.mounts = present_mounts(init, *started.mounts);
    container.state = model::ContainerState::running;
    // Containers that others started may be in other cgroups: their limits are what their config says.
    if (!host.cgroups.has(name)) return;
    observe_limits(name, host.cgroups, container);
    if (host.cgroups.is_frozen(name)) container.state = model::ContainerState::frozen;
}

}  // namespace

Result<model::Entry> observe_container(const Host& host, const std::string& name, bool running) {
    CTL_ASSIGN(const auto config, read_file(host.paths.config(name), std::size_t{1} << 20));
    auto parsed = parse_config(config, host.paths.place(name));
    parsed.container.state = model::ContainerState::stopped;
    if (auto seed = read_seed(host.paths.directory(name)); seed && !seed->empty()) parsed.container.seed = std::move(seed);
    if (running) read_running(host, name, config, parsed.container);

    model::Entry entry;
    if (auto owner = read_mark(parsed.mark, {model::ObjectKind::container, name})) {
        entry.mark = model::Mark::complete;
        entry.owner = *std::move(owner);
    }
    entry.held = held_state(host.paths, name) == parsed.container.state;
    entry.object = std::move(parsed.container);
    return entry;
}

}  // namespace ctl::drivers::lxc
