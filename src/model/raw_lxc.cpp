#include "model/raw_lxc.h"

#include <algorithm>
#include <array>
#include <string_view>

#include <fmt/format.h>

#include "base/text.h"

namespace ctl::model {

namespace {

struct Renamed {
    std::string_view before;
    std::string_view now;
};

// lxc-update-config(1) and liblxc 3.0's release notes list these.
constexpr std::array renamed_keys{
    Renamed{"lxc.aa_allow_incomplete", "lxc.apparmor.allow_incomplete"},
    Renamed{"lxc.aa_profile", "lxc.apparmor.profile"},
    Renamed{"lxc.console", "lxc.console.path"},
    Renamed{"lxc.devttydir", "lxc.tty.dir"},
    Renamed{"lxc.haltsignal", "lxc.signal.halt"},
    Renamed{"lxc.init_cmd", "lxc.init.cmd"},
    Renamed{"lxc.init_gid", "lxc.init.gid"},
    Renamed{"lxc.init_uid", "lxc.init.uid"},
    Renamed{"lxc.kmsg", ""},
    Renamed{"lxc.logfile", "lxc.log.file"},
    Renamed{"lxc.loglevel", "lxc.log.level"},
    Renamed{"lxc.mount", "lxc.mount.fstab"},
    Renamed{"lxc.pts", "lxc.pty.max"},
    Renamed{"lxc.rebootsignal", "lxc.signal.reboot"},
    Renamed{"lxc.se_context", "lxc.selinux.context"},
    Renamed{"lxc.seccomp", "lxc.seccomp.profile"},
    Renamed{"lxc.stopsignal", "lxc.signal.stop"},
    Renamed{"lxc.syslog", "lxc.log.syslog"},
    Renamed{"lxc.tty", "lxc.tty.max"},
    Renamed{"lxc.utsname", "lxc.uts.name"},
};

// What ctl itself decides for every container; two writers of one setting would fight.
constexpr std::array<std::string_view, 8> our_keys{"lxc.rootfs.", "lxc.idmap",   "lxc.id_map",     "lxc.namespace.",
                                                   "lxc.net.",    "lxc.include", "lxc.cgroup.dir", "lxc.uts.name"};

/// The settings of an old lxc.network section that have an equal in a NIC device.
constexpr std::array<std::string_view, 6> network_settings{"ipv4", "ipv4.gateway", "ipv6", "ipv6.gateway", "hwaddr", "mtu"};
/// Those that every NIC of ours has anyway, or that its device says better.
constexpr std::array<std::string_view, 5> network_ignored{"type", "flags", "link", "name", "macvlan.mode"};

template <typename Container>
bool has(const Container& container, std::string_view text) {
    return std::find(container.begin(), container.end(), text) != container.end();
}

class Reader {
public:
    Reader(const Value& value, Diagnostics& diagnostics) : value_(value), diagnostics_(diagnostics) {}

    RawLxc read() {
        for (const auto line : split(value_.text, '\n')) read_line(trimmed(line));
        return std::move(raw_);
    }

private:
    void fault(std::string message, std::string hint = {}) {
        diagnostics_.error("raw-lxc", std::move(message), value_.where, std::move(hint));
    }

    void read_line(std::string_view line) {
        if (line.empty() || line.starts_with('#')) return;
        const std::size_t equals = line.find('=');
        if (equals == std::string_view::npos) {
            fault(fmt::format("raw.lxc line {} has no \"=\"", quoted(line)), "write it as: lxc.key = value");
            return;
        }
        const std::string_view key = trimmed(line.substr(0, equals));
        const std::string_view setting = trimmed(line.substr(equals + 1));
        if (!key.starts_with("lxc.")) {
            fault(fmt::format("raw.lxc key {} is not a liblxc key", quoted(key)), "liblxc's keys begin with \"lxc.\"");
        } else if (key.starts_with("lxc.network.")) {
            read_network(key.substr(std::string_view("lxc.network.").size()), setting);
        } else {
            read_setting(key, setting);
        }
    }

    void read_network(std::string_view name, std::string_view setting) {
        if (has(network_settings, name)) {
            raw_.network[std::string(name)] = std::string(setting);
            diagnostics_.note("raw-lxc-renamed",
                              fmt::format("lxc.network.{} is the spelling of liblxc before 3.0; it is set on the NIC", name),
                              value_.where, fmt::format("write {} on the nic device instead", device_key(name)));
        } else if (!has(network_ignored, name)) {
            fault(fmt::format("raw.lxc key \"lxc.network.{}\" has no equal in a nic device", escaped(name)),
                  "remove it, or write what it should do as nic keys");
        }
    }

    static std::string device_key(std::string_view name) {
        if (name == "ipv4" || name == "ipv6") return fmt::format("{}.address", name);
        return std::string(name);
    }

    void read_setting(std::string_view key, std::string_view setting) {
        std::string today(key);
        if (key.starts_with("lxc.limit."))
            today = fmt::format("lxc.prlimit.{}", key.substr(std::string_view("lxc.limit.").size()));
        for (const auto& renamed : renamed_keys)
            if (renamed.before == key) today = std::string(renamed.now);
        if (today.empty()) {
            diagnostics_.note("raw-lxc-renamed", fmt::format("{} does nothing since liblxc 3.0 and is left out", key),
                              value_.where);
            return;
        }
        for (const auto ours : our_keys) {
            if (today != ours && !(ours.ends_with('.') && today.starts_with(ours))) continue;
            fault(fmt::format("raw.lxc may not set {}: ctl sets it itself", escaped(today)), "remove the line");
            return;
        }
        if (today != key)
            diagnostics_.note("raw-lxc-renamed",
                              fmt::format("{} is the spelling of liblxc before 3.0; it is read as {}", key, today),
                              value_.where);
        raw_.lines.push_back(fmt::format("{} = {}", today, setting));
    }

    const Value& value_;
    Diagnostics& diagnostics_;
    RawLxc raw_;
};

}  // namespace

RawLxc read_raw_lxc(const Value& value, Diagnostics& diagnostics) { return Reader(value, diagnostics).read(); }

}  // namespace ctl::model
