#pragma once

#include <string>
#include <vector>

#include "support/inventory.h"
#include "support/sandbox.h"

namespace ctl::testing {

/// Written into every sandbox of `Rounds`. One container of each kind of trouble: bridged and unprivileged, privileged with
/// a bind mount, point to point, stopped.
inline const std::string small_stack = "/run/small.yaml";
inline const std::string twenty_stack = CTL_SOURCE_DIR "/manifests/examples/twenty.yaml";

/// The exit code of what was killed with -9.
inline constexpr int killed = 128 + 9;

/// A host with a stack on it that is applied and deleted over and over, each time as if ctl were killed. Things of other
/// people stand beside it that look as much like ours as they can.
class Rounds {
public:
    explicit Rounds(std::string manifest, std::vector<std::string> options = {});

    /// Its exit code: `killed`, or that of a program that never came to the point.
    [[nodiscard]] int dying(const std::string& command, const std::string& at) const;
    [[nodiscard]] int dying_after(const std::string& command, double seconds) const;

    /// How many points of a kind an undisturbed run passes.
    [[nodiscard]] long points(const std::string& command, const std::string& kind) const;

    /// The next apply does the rest and leaves what a run without a crash leaves.
    void check_apply_completes() const;
    /// The next delete does the rest; the host is as before the first apply.
    void check_delete_completes() const;

private:
    [[nodiscard]] Output whole(const std::string& command) const { return sandbox_.run(with(command, {})); }
    [[nodiscard]] std::vector<std::string> with(const std::string& command, std::vector<std::string> argv) const;
    [[nodiscard]] std::vector<std::string> preloaded(const std::string& at) const;

    Sandbox sandbox_;
    std::string manifest_;
    std::vector<std::string> options_;
    Inventory applied_;
    Inventory empty_;
};

/// Kills apply and delete at every commit of their journals. What follows a killed run is in turn the same command and the
/// other one: nobody may have to come back to what they have given up.
void kill_at_every_commit(const Rounds& rounds);

}  // namespace ctl::testing
