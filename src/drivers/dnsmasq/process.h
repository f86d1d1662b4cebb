#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

#include "base/fd.h"
#include "base/result.h"

namespace ctl::drivers::dnsmasq {

/// A running dnsmasq. Signals go through the descriptor, so that they can't reach another process of that number.
struct Process {
    pid_t pid = -1;
    Fd pidfd;
};

/// The dnsmasq in our network namespace that was started with this configuration file, if one runs. Its number comes from
/// the file it wrote, and is believed only of a process whose command line is the one we start it with; without such a
/// file, all processes are looked through.
[[nodiscard]] std::optional<Process> find_process(const std::string& config, const std::string& pid_file);

/// The program's absolute path. Errors: missing_driver with what to install.
[[nodiscard]] Result<std::string> find_dnsmasq();

/// Starts it as a daemon of its own session, and waits until it serves. Errors: io, with dnsmasq's own words.
[[nodiscard]] Status start_process(const std::string& config);

/// Makes it read its hosts files again.
[[nodiscard]] Status reload(const Process& process);

/// Asks it to end, and kills it if it doesn't. Errors: timeout.
[[nodiscard]] Status stop_process(const Process& process);

/// What dnsmasq would say against a configuration of this text. `name` stands for it in messages. Errors: invalid.
[[nodiscard]] Status check_syntax(const std::string& text, const std::string& name);

}  // namespace ctl::drivers::dnsmasq
