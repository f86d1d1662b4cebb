#pragma once

#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "model/lower.h"
#include "reconcile/driver_set.h"
#include "reconcile/journal.h"
#include "reconcile/lock.h"
#include "reconcile/reconciler.h"

namespace ctl::cli {

/// What every command can be told; options of ctl itself.
struct GlobalOptions {
    std::string state_dir = "/var/lib/ctl";
    std::string run_dir;     ///< empty: /run/ctl, or STATE_DIR/run with another state directory
    std::string driver_dir;  ///< empty: beside this program
    std::string ovs_db = "unix:/var/run/openvswitch/db.sock";
    std::string policy;  ///< empty: /etc/ctl/policy.yaml, if there is one
    bool no_colour = false;
    std::string command_line;  ///< as typed, escaped: for the lock and the journal
};

/// Where a command works: directories, drivers, journal. Made once per command.
class Session {
public:
    /// For looking: a journal that isn't there yet is an empty one in memory, so that planning needs no state directory.
    [[nodiscard]] static Result<Session> open(const GlobalOptions& options);
    /// For changing: makes the state directory and opens its journal.
    [[nodiscard]] static Result<Session> open_writable(const GlobalOptions& options);
    /// The same with the lock held from before the journal is opened until the session ends; waits for it up to `wait`.
    [[nodiscard]] static Result<Session> open_exclusive(const GlobalOptions& options,
                                                        std::chrono::milliseconds wait = std::chrono::milliseconds(0));
    /// Drivers only for a host that is described in a file: nothing is observed, nothing recorded.
    [[nodiscard]] static Result<Session> offline(const GlobalOptions& options);

    [[nodiscard]] reconcile::Environment environment(reconcile::Reporter& reporter);
    [[nodiscard]] reconcile::DriverSet& drivers() { return drivers_; }
    [[nodiscard]] reconcile::Journal& journal() { return *journal_; }
    [[nodiscard]] reconcile::Clock& clock() { return *clock_; }
    [[nodiscard]] const model::HostLayout& layout() const { return layout_; }

private:
    explicit Session(const GlobalOptions& options);
    Status prepare_for_writing();
    Status open_journal(const std::filesystem::path& file);
    void load_drivers(const GlobalOptions& options);

    model::HostLayout layout_;
    std::optional<reconcile::Lock> lock_;
    std::unique_ptr<reconcile::SystemClock> clock_;  // the journal holds on to it, so it must not move with the session
    reconcile::DriverSet drivers_;
    std::unique_ptr<reconcile::Journal> journal_;
};

[[nodiscard]] std::filesystem::path journal_file(const GlobalOptions& options);

/// Where this build's drivers and helper programs are: beside the program (a build tree) or in ../lib/ctl (installed).
[[nodiscard]] std::filesystem::path library_dir();

}  // namespace ctl::cli
