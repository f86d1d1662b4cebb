#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace ctl::testing {

/// An ovsdb-server with an empty Open_vSwitch database of its own, in namespaces of its own; it ends with the object.
class OvsdbServer {
public:
    /// Fails the test if it doesn't come up.
    OvsdbServer();
    OvsdbServer(const OvsdbServer&) = delete;
    OvsdbServer& operator=(const OvsdbServer&) = delete;
    ~OvsdbServer();

    /// "unix:/path", as ovs-vsctl's --db takes it.
    [[nodiscard]] std::string remote() const { return "unix:" + directory_ + "/db.sock"; }
    /// ovs-vsctl on it, without waiting for an ovs-vswitchd. Fails the test if that fails.
    void vsctl(const std::vector<std::string>& arguments) const;

private:
    std::string directory_;
    pid_t process_ = -1;
};

}  // namespace ctl::testing
