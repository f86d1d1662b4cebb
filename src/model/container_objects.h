#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "model/object_kind.h"

// The objects that containers and what they keep are made of.

namespace ctl::model {

/// A place that keeps volumes.
struct Pool {
    static constexpr ObjectKind kind = ObjectKind::pool;

    std::optional<std::string> driver;  ///< dir, btrfs, lvm, zfs, ceph
    std::optional<std::string>
        source;  ///< absolute path of a directory, a block device or a loop file; or an existing pool's name
    std::optional<std::int64_t> size;                           ///< bytes of a loop file
    std::optional<std::map<std::string, std::string>> options;  ///< the driver's own keys: lvm.vg_name
    std::optional<std::string> mount_options;                   ///< as mount(8) takes them after -o
    std::optional<bool> mounted;       ///< ready at its path (a loop file has to be mounted after a reboot)
    std::optional<std::string> trash;  ///< how long deleted volumes are kept (trash.h); absent: a day

    static constexpr auto fields() {
        return std::tuple{field("driver", &Pool::driver, Effect::fixed),
                          field("source", &Pool::source, Effect::fixed),
                          field("size", &Pool::size, Effect::live),
                          field("options", &Pool::options, Effect::fixed),
                          field("mount_options", &Pool::mount_options, Effect::live),
                          field("mounted", &Pool::mounted, Effect::live),
                          field("trash", &Pool::trash, Effect::live)};
    }
    bool operator==(const Pool&) const = default;
};

/// A root filesystem in the image store.
struct Image {
    static constexpr ObjectKind kind = ObjectKind::image;

    std::optional<std::string> type;    ///< busybox, tarball, directory, url, simplestreams, debootstrap, container
    std::optional<std::string> source;  ///< absolute path, URL, "SERVER ALIAS", suite or container, by type
    std::optional<std::map<std::string, std::string>> options;  ///< what else the source is told: a mirror, a second file
    std::optional<std::string> fingerprint;           ///< SHA-256, 64 lower-case hex digits; in desired only if declared
    std::optional<std::vector<std::string>> aliases;  ///< further names
    std::optional<std::map<std::string, std::string>> properties;
    std::optional<bool> shared;       ///< `public`
    std::optional<bool> auto_update;  ///< looked for anew by the watch loop

    static constexpr auto fields() {
        return std::tuple{
            field("type", &Image::type, Effect::replace),       field("source", &Image::source, Effect::replace),
            field("options", &Image::options, Effect::replace), field("fingerprint", &Image::fingerprint, Effect::replace),
            field("aliases", &Image::aliases, Effect::live),    field("properties", &Image::properties, Effect::live),
            field("public", &Image::shared, Effect::live),      field("auto_update", &Image::auto_update, Effect::live)};
    }
    bool operator==(const Image&) const = default;
};

/// What holds data in a pool: a container's root filesystem, POOL/NAME, or a custom volume, POOL/custom/NAME.
struct Volume {
    static constexpr ObjectKind kind = ObjectKind::volume;

    std::optional<std::string> image;  ///< name of the image it was cloned from
    std::optional<std::string> idmap;  ///< whose ids the files are seen with; see Container::idmap
    std::optional<std::int64_t> size;  ///< bytes it may take; absent or 0: as many as the pool has
    std::optional<bool> mounted;       ///< ready at its path (an overlay has to be mounted after a reboot)

    static constexpr auto fields() {
        return std::tuple{field("image", &Volume::image, Effect::replace), field("idmap", &Volume::idmap, Effect::restart),
                          field("size", &Volume::size, Effect::live), field("mounted", &Volume::mounted, Effect::live)};
    }
    bool operator==(const Volume&) const = default;
};

/// A volume as it was at a moment: POOL/NAME@SNAPSHOT.
struct Snapshot {
    static constexpr ObjectKind kind = ObjectKind::snapshot;

    std::optional<std::string> made;     ///< RFC 3339 in UTC
    std::optional<std::string> expires;  ///< RFC 3339 in UTC; absent: never

    static constexpr auto fields() {
        return std::tuple{field("made", &Snapshot::made, Effect::fixed), field("expires", &Snapshot::expires, Effect::live)};
    }
    bool operator==(const Snapshot&) const = default;
};

enum class ContainerState { running, stopped, frozen };

template <>
struct EnumNames<ContainerState> {
    static constexpr std::array<std::pair<ContainerState, std::string_view>, 3> names{{
        {ContainerState::running, "running"},
        {ContainerState::stopped, "stopped"},
        {ContainerState::frozen, "frozen"},
    }};
};

/// A liblxc container. While it runs, observed fields whose effect is restart are those it was started with.
struct Container {
    static constexpr ObjectKind kind = ObjectKind::container;

    std::optional<std::string> rootfs;  ///< absolute path
    std::optional<std::string> idmap;   ///< "none" when privileged, else "CONTAINER:HOST:COUNT" for uids and gids
    std::optional<std::map<std::string, std::string>> environment;
    std::optional<std::map<std::string, std::string>>
        mounts;                                ///< path in the container → "SOURCE[ ro][ rbind][ optional]", \040-escaped
    std::optional<std::int64_t> memory_limit;  ///< bytes; limits.memory
    std::optional<std::int64_t> memory_soft_limit;  ///< bytes; limits.memory where limits.memory.enforce is soft
    std::optional<std::int64_t> swap_limit;         ///< bytes of swap on top of memory, 0 for none; limits.memory.swap
    std::optional<std::int64_t> swappiness;         ///< 0 to 100; limits.memory.swap.priority
    std::optional<std::map<std::string, std::string>> hugepage_limits;  ///< page size → bytes; limits.hugepages.*
    std::optional<std::int64_t> process_limit;                          ///< limits.processes
    std::optional<std::string> cpu_set;                                 ///< kernel list, "0-1"; limits.cpu as a set
    std::optional<std::string> cpu_nodes;                               ///< kernel list of memory nodes; limits.cpu.nodes
    std::optional<std::int64_t> cpu_shares;   ///< cpu.shares of cgroup version 1; limits.cpu.allowance in %, .priority
    std::optional<std::string> cpu_quota;     ///< "QUOTA/PERIOD" in microseconds; limits.cpu.allowance as a time
    std::optional<std::int64_t> disk_weight;  ///< blkio.weight, 10 to 1000; limits.disk.priority
    /// Absolute path on the host → "read=… write=…" of its block device, with ';' between those of several disks on it;
    /// limits.read, limits.write.
    std::optional<std::map<std::string, std::string>> disk_limits;
    std::optional<std::map<std::string, std::string>> kernel_limits;  ///< resource → "SOFT:HARD"; limits.kernel.*
    std::optional<std::vector<std::string>> kernel_modules;           ///< loaded before it starts; linux.kernel_modules
    std::optional<std::map<std::string, std::string>>
        devices;  ///< path in the container → "c MAJOR:MINOR MODE UID:GID", ids as the container sees them; unix-char
    std::optional<std::string> seccomp;                      ///< policy in liblxc's format; security.syscalls.*, raw.seccomp
    std::optional<std::map<std::string, std::string>> seed;  ///< cloud-init's NoCloud files by name
    std::optional<std::vector<std::string>> raw;             ///< further liblxc lines, "key = value"; raw.lxc
    std::optional<bool> autostart;                           ///< boot.autostart
    std::optional<std::int64_t> autostart_priority;
    std::optional<std::int64_t> autostart_delay;  ///< seconds
    std::optional<std::int64_t> stop_priority;    ///< boot.stop.priority
    std::optional<std::int64_t> stop_timeout;     ///< seconds to end by itself; boot.host_shutdown_timeout
    std::optional<ContainerState> state;

    static constexpr auto fields() {
        return std::tuple{field("rootfs", &Container::rootfs, Effect::restart),
                          field("idmap", &Container::idmap, Effect::restart),
                          field("environment", &Container::environment, Effect::restart),
                          field("mounts", &Container::mounts, Effect::hotplug),
                          field("memory_limit", &Container::memory_limit, Effect::live),
                          field("memory_soft_limit", &Container::memory_soft_limit, Effect::live),
                          field("swap_limit", &Container::swap_limit, Effect::live),
                          field("swappiness", &Container::swappiness, Effect::live),
                          field("hugepage_limits", &Container::hugepage_limits, Effect::live),
                          field("process_limit", &Container::process_limit, Effect::live),
                          field("cpu_set", &Container::cpu_set, Effect::live),
                          field("cpu_nodes", &Container::cpu_nodes, Effect::live),
                          field("cpu_shares", &Container::cpu_shares, Effect::live),
                          field("cpu_quota", &Container::cpu_quota, Effect::live),
                          field("disk_weight", &Container::disk_weight, Effect::live),
                          field("disk_limits", &Container::disk_limits, Effect::live),
                          field("kernel_limits", &Container::kernel_limits, Effect::restart),
                          field("kernel_modules", &Container::kernel_modules, Effect::live),
                          field("devices", &Container::devices, Effect::hotplug),
                          field("seccomp", &Container::seccomp, Effect::restart),
                          field("seed", &Container::seed, Effect::live),
                          field("raw", &Container::raw, Effect::restart),
                          field("autostart", &Container::autostart, Effect::live),
                          field("autostart_priority", &Container::autostart_priority, Effect::live),
                          field("autostart_delay", &Container::autostart_delay, Effect::live),
                          field("stop_priority", &Container::stop_priority, Effect::live),
                          field("stop_timeout", &Container::stop_timeout, Effect::live),
                          field("state", &Container::state, Effect::live)};
    }
    bool operator==(const Container&) const = default;
};

/// What hands on connections between the host and a container: CONTAINER:DEVICE.
struct Proxy {
    static constexpr ObjectKind kind = ObjectKind::proxy;

    std::optional<std::string> listen;   ///< tcp:ADDRESS:PORTS, udp:ADDRESS:PORTS, unix:PATH or unix:@NAME
    std::optional<std::string> connect;  ///< in the same words
    std::optional<std::string> bind;     ///< where it listens: host or container
    std::optional<std::map<std::string, std::string>>
        options;                  ///< proxy_protocol, mode, uid, gid, security.uid, security.gid
    std::optional<bool> running;  ///< with all that the other fields say, and into the container that runs now

    static constexpr auto fields() {
        return std::tuple{field("listen", &Proxy::listen, Effect::restart),
                          field("connect", &Proxy::connect, Effect::restart), field("bind", &Proxy::bind, Effect::restart),
                          field("options", &Proxy::options, Effect::restart),
                          field("running", &Proxy::running, Effect::live)};
    }
    bool operator==(const Proxy&) const = default;
};

/// What a container has to have reached before those that depend on it start: CONTAINER:CONDITION. Nothing on the host: it
/// is "made" by waiting for it.
struct Readiness {
    static constexpr ObjectKind kind = ObjectKind::readiness;

    std::optional<std::string> condition;               ///< address, port, cloud-init or exec
    std::optional<std::vector<std::string>> arguments;  ///< the port, or the command
    std::optional<std::int64_t> timeout;                ///< seconds

    static constexpr auto fields() {
        return std::tuple{field("condition", &Readiness::condition, Effect::live),
                          field("arguments", &Readiness::arguments, Effect::live),
                          field("timeout", &Readiness::timeout, Effect::live)};
    }
    bool operator==(const Readiness&) const = default;
};

}  // namespace ctl::model
