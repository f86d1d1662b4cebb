#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace ctl::drivers::dnsmasq {

// What stands in STATE_DIR/networks/NAME/:
//
//   dnsmasq.conf   the configuration with our mark; written only while no dnsmasq runs with it, so it tells what a running
//                  one was started with
//   hosts/         reservations, a file each (dhcp-hostsfile)
//   records/       names of addresses that DHCP does not give out, a file each (addn-hosts)
//   unread         there while hosts/ or records/ may hold what the running dnsmasq has not read
//   leases, pid    dnsmasq's own

/// The places of one network's files.
struct Paths {
    std::string directory;  ///< STATE_DIR/networks/NAME

    [[nodiscard]] std::string config() const { return directory + "/dnsmasq.conf"; }
    [[nodiscard]] std::string hosts() const { return directory + "/hosts"; }
    [[nodiscard]] std::string records() const { return directory + "/records"; }
    [[nodiscard]] std::string unread() const { return directory + "/unread"; }
    [[nodiscard]] std::string leases() const { return directory + "/leases"; }
    [[nodiscard]] std::string pid() const { return directory + "/pid"; }
};

/// What the configuration file says.
struct Config {
    std::string mark;              ///< see make_mark; empty when forgotten
    unsigned interface_index = 0;  ///< the kernel's number of the interface when the file was written
    /// What the network asks for. Absent in a file whose other lines are not as we write them.
    std::optional<std::vector<std::string>> options;
};

/// The file for the interface `name`. Errors: invalid for a mark or an option with a control character in it.
[[nodiscard]] Result<std::string> to_text(const Config& config, const std::string& name, const Paths& paths);
/// The reverse of to_text; of any other text, as much as can be understood.
[[nodiscard]] Config parse_config(std::string_view text, const std::string& name, const Paths& paths);

/// A line of a configuration or hosts file: not empty, no control character but tabs.
[[nodiscard]] bool is_line(std::string_view text);

}  // namespace ctl::drivers::dnsmasq
