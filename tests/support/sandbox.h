#pragma once

#include <rapidjson/document.h>
#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>
#include <vector>

namespace ctl::testing {

/// What a command said and how it ended.
struct Output {
    int exit_code = -1;
    std::string out;
    std::string err;

    /// Standard output as JSON; fails the test if it isn't.
    [[nodiscard]] rapidjson::Document json() const;
};

/// A throwaway host: `ctl sandbox` of this build with an idle command in it, into which tests send commands. A command that
/// can't be run at all or takes longer than its deadline fails the test. When it goes, it checks that nothing of it is left.
class Sandbox {
public:
    /// For CTL_SKIP_IF: why this machine can't have one.
    [[nodiscard]] static std::optional<std::string> why_impossible();

    Sandbox();
    Sandbox(const Sandbox&) = delete;
    Sandbox& operator=(const Sandbox&) = delete;
    ~Sandbox();

    [[nodiscard]] Output run(const std::vector<std::string>& argv, std::chrono::seconds deadline = default_deadline) const;
    /// A line of shell; set -e is not in force.
    [[nodiscard]] Output sh(const std::string& script, std::chrono::seconds deadline = default_deadline) const;
    /// As sh, but a non-zero exit code fails the test. The value is its standard output.
    std::string must(const std::string& script, std::chrono::seconds deadline = default_deadline) const;
    /// This build's ctl with these arguments.
    [[nodiscard]] Output ctl(std::vector<std::string> arguments, std::chrono::seconds deadline = default_deadline) const;
    /// ctl apply -f FILE --yes; a relative FILE is below the source directory.
    [[nodiscard]] Output apply(const std::string& file, std::vector<std::string> more = {}) const;
    /// ctl plan -f FILE --detailed-exitcode: 0 when there is nothing to do, 2 when there is.
    [[nodiscard]] Output plan(const std::string& file, std::vector<std::string> more = {}) const;

    /// A second network namespace, "lan", joined to the sandbox by a link that is called `nic` here and lan0 there.
    void add_lan(const std::string& nic, const std::vector<std::string>& host_addresses,
                 const std::vector<std::string>& lan_addresses) const;
    /// A line of shell in that namespace.
    [[nodiscard]] Output lan_sh(const std::string& script, std::chrono::seconds deadline = default_deadline) const;

    /// An ovsdb-server and an ovs-vswitchd (userspace datapath) at the usual place, unix:/var/run/openvswitch/db.sock.
    void start_open_vswitch() const;

    /// The sandbox's first process, as this machine numbers it: nsenter's --target.
    [[nodiscard]] pid_t init() const { return init_; }

    static constexpr std::chrono::seconds default_deadline{120};

private:
    pid_t ctl_ = -1;
    pid_t init_ = -1;
    std::string scratch_;
    std::vector<std::string> cgroups_;
};

}  // namespace ctl::testing
