#pragma once

#include <array>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/object.h"

namespace ctl::drivers::lxc {

/// Device nodes that a privileged container may use, by major:minor; all others may be made, but not opened.
inline constexpr std::array standard_devices{"c *:* m",   "b *:* m",   "c 1:3 rwm",   "c 1:5 rwm",
                                             "c 1:7 rwm", "c 1:8 rwm", "c 1:9 rwm",   "c 5:0 rwm",
                                             "c 5:1 rwm", "c 5:2 rwm", "c 136:* rwm", "c 10:229 rwm"};

/// Which container a config is for and where its runtime files are.
struct ConfigPlace {
    std::string name;
    std::string run_dir;
    std::string directory{};  ///< the container's own, where its config is
};

/// What the host decides about a config.
struct ConfigFacts {
    bool seccomp = false;             ///< liblxc's own system call filter is installed
    std::set<std::string> unified{};  ///< controllers that are on the version 2 hierarchy; the others are on version 1
    std::string apparmor{};           ///< profile: generated or unconfined; empty where the kernel has no AppArmor
    std::string halt_signal{};        ///< what asks the container's init to shut down; empty for liblxc's default
    bool swap_accounting = true;      ///< version 1 counts swap with memory
    std::string disk_weight_file{};   ///< where a disk weight goes, by the kernel's I/O scheduler
    std::set<std::string> files{};    ///< sources of mounts that are files, not directories
};

struct MountSpec {
    std::string source;  ///< plain path on the host
    std::string target;  ///< plain path in the container
    bool read_only = false;
    bool recursive = false;
    bool optional = false;
    bool shifted = false;           ///< the files' owners are seen as the container's
    std::string propagation{};      ///< shared, rslave, …; empty: nothing mounted later passes in or out
    std::set<std::string> flags{};  ///< noexec, nosuid, …

    bool operator==(const MountSpec&) const = default;
};

/// Where a running container's own system call policy is, for liblxc to read.
[[nodiscard]] std::string seccomp_path(const ConfigPlace& place);

/// One member of Container::mounts, taken apart. `invalid` for paths that are not absolute, step up by "..", or hold control
/// characters, and for unknown options.
[[nodiscard]] Result<MountSpec> parse_mount(std::string_view target, std::string_view text);
/// The value of a member of Container::mounts.
[[nodiscard]] std::string mount_text(const MountSpec& mount);
/// `invalid` unless it is absolute, without ".." and control characters; `what` names it in the message.
[[nodiscard]] Status check_path(std::string_view what, std::string_view path);

/// A liblxc config that makes exactly this container: the same input gives the same bytes. `invalid` for values that liblxc
/// would read differently (line ends, blanks at the end), so nothing in a manifest can add a line of its own.
[[nodiscard]] Result<std::string> render_config(const model::Container& container, std::string_view mark,
                                                const ConfigPlace& place, const ConfigFacts& facts);

struct ParsedConfig {
    std::string mark;            ///< text of the first line's comment; may be anybody's
    model::Container container;  ///< every field that a config can hold; state is absent
};

/// Reads any liblxc config. What render_config always writes is left out, what it would not have written is in `raw`.
[[nodiscard]] ParsedConfig parse_config(std::string_view text, const ConfigPlace& place);

/// The text with another mark in its first line; an empty mark only takes the old one out.
[[nodiscard]] std::string with_mark(std::string_view text, std::string_view mark);

}  // namespace ctl::drivers::lxc
