#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "drivers/ovs/flow_shim.h"

namespace ctl::drivers::ovs {

/// The cookie that marks the flows of a network: "ctl" in its upper three bytes, and a hash of the name. Whether a flow is
/// ours the switch itself tells by it.
[[nodiscard]] std::uint64_t flow_cookie(const std::string& network);

/// Flows as texts, by cookie.
using FlowTexts = std::map<std::uint64_t, std::vector<std::string>>;
/// Names of a bridge's ports with their OpenFlow numbers.
using PortNumbers = std::map<std::string, std::int64_t>;

/// OpenFlow connections to bridges, made when they are needed and kept. All of it is for the database's thread.
class Switches {
public:
    /// The bridges' sockets are beside the database's. `is_watched`: whether changes by others are wanted as events.
    Switches(const std::string& database, const std::atomic<bool>& is_watched);

    /// All flows of ours on the bridge, sorted. Errors: not_found when nobody answers for the bridge (ovs-vswitchd is down),
    /// unsupported, timeout, io.
    [[nodiscard]] Result<FlowTexts> read(const std::string& bridge, const PortNumbers& ports);
    /// Puts these in place of all flows with the cookie, at one moment. Errors as above, and invalid: a flow is none.
    [[nodiscard]] Status replace(const std::string& bridge, const PortNumbers& ports, std::uint64_t cookie,
                                 const std::vector<std::string>& flows);

    /// Takes in what came. True if others have changed flows of ours, or a bridge is gone.
    [[nodiscard]] bool run();
    /// Lets the thread's next wait end when something comes.
    void wait() const;

private:
    struct Close {
        void operator()(ctl_switch* open) const { ctl_switch_close(open); }
    };
    struct Open {
        std::unique_ptr<ctl_switch, Close> connection;
        bool is_subscribed = false;
    };

    [[nodiscard]] Result<ctl_switch*> connect(const std::string& bridge, const PortNumbers& ports, std::int64_t deadline);
    /// Ends the connection unless `failure` is 0; it becomes an error.
    [[nodiscard]] Status checked(const std::string& bridge, int failure);

    std::string directory_;
    const std::atomic<bool>& is_watched_;
    std::map<std::string, Open> open_;
};

}  // namespace ctl::drivers::ovs
