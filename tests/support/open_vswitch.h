#pragma once

#include <sys/types.h>

#include <string>

namespace ctl::testing {

/// An ovsdb-server and an ovs-vswitchd in the namespaces the test program is in, with their files in a folder of their own.
/// Both end with the object.
class OpenVswitch {
public:
    /// Fails the test if they don't come up. `folder` is made anew.
    explicit OpenVswitch(std::string folder);
    OpenVswitch(const OpenVswitch&) = delete;
    OpenVswitch& operator=(const OpenVswitch&) = delete;
    ~OpenVswitch();

    /// "unix:/path", as ovs-vsctl's --db takes it.
    [[nodiscard]] std::string remote() const { return "unix:" + folder_ + "/db.sock"; }
    /// What ovs-vsctl prints; fails the test if that fails. `arguments` as in a shell.
    std::string vsctl(const std::string& arguments) const;
    /// What another tool of the switch prints (ovs-appctl, ovs-ofctl).
    std::string tool(const std::string& line) const;

    void start_server();
    void stop_server();
    void start_switch();
    void stop_switch();

private:
    std::string folder_;
    pid_t server_ = -1;
    pid_t switch_ = -1;
};

}  // namespace ctl::testing
