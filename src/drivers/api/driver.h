#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "base/result.h"
#include "diff/change.h"
#include "model/host_state.h"

namespace ctl::drivers {

/// Where a driver works; given once to its factory.
struct DriverContext {
    std::string state_dir;   ///< canonical absolute path; containers/, images/, pools/ below it
    std::string run_dir;     ///< canonical absolute path on a file system that a reboot empties
    std::string helper_dir;  ///< where this build's helper programs are (ctl-lxc-start)
    std::string ovs_db;      ///< unix:/path of ovsdb-server
};

struct DriverInfo {
    std::string name;
    std::string description;
    std::set<model::ObjectKind> kinds;  ///< no two drivers have one kind in common
    /// Its changes wait more than they work: each is applied by a call of its own, beside the others, and counts for nothing
    /// where only so many may be under way.
    bool waits = false;
};

/// What an observation must cover.
struct Interest {
    /// All objects of the driver's kinds that are ours or that somebody could name; false: only `ids`.
    bool all = true;
    /// Objects to look for by name even if `all` would leave them out (sysctls can't be listed wholesale).
    std::set<model::ObjectId> ids;

    [[nodiscard]] static Interest only(std::set<model::ObjectId> ids) { return {false, std::move(ids)}; }
};

/// Called as soon as the change with that index in the batch has ended, from any thread, once per change.
using Report = std::function<void(std::size_t index, Status outcome)>;

/// A file descriptor that becomes readable when something on the host may have changed.
struct EventSource {
    int fd = -1;
    std::string what;  ///< for the log: "links and addresses"
};

/// What a thing does rather than what it is: counters, leases, process numbers. By name; for people, never compared.
using Facts = std::map<std::string, model::FieldValue>;

/// One subsystem of the host. The reconciler calls a driver from one thread at a time; a driver may use threads inside.
class Driver {
public:
    virtual ~Driver() = default;

    [[nodiscard]] virtual const DriverInfo& info() const = 0;

    /// What the host has, in one bulk pass per kind. Objects come with Mark and owner as the host itself says.
    /// A subsystem that isn't there (no liblxc, no ovsdb-server) is an error only when `interest` names an object of it;
    /// otherwise there is just nothing.
    [[nodiscard]] virtual Result<model::HostState> observe(const Interest& interest, std::stop_token stop) = 0;

    /// What would keep these changes from working, found without writing: missing privilege, kernel feature, space, path.
    /// One error per change at most, with the object's name in it.
    [[nodiscard]] virtual std::vector<Error> preflight(std::span<const diff::Change> changes) = 0;

    /// Makes independent changes so, as a batch. Idempotent: a change that is already so succeeds. Never touches what
    /// carries no mark of ours, except the fields of borrowed objects. Verbs seen: create, update, remove, adopt, forget,
    /// stop. update: each of `fields` gets its `to` (or the default without one); with no fields, all of `desired` is
    /// applied again. After `stop` is requested, changes not yet begun are reported as cancelled.
    virtual void apply(std::span<const diff::Change> changes, const Report& report, std::stop_token stop) = 0;

    /// Facts about those of `ids` that are of the driver's kinds and that it has something to tell of. For commands that
    /// look, so it may cost more than observe().
    [[nodiscard]] virtual Result<std::map<model::ObjectId, Facts>> facts(const std::set<model::ObjectId>& /*ids*/,
                                                                         std::stop_token /*stop*/) {
        return std::map<model::ObjectId, Facts>();
    }

    /// Descriptors for the watch loop, owned by the driver and valid until the next call; may differ from call to call.
    [[nodiscard]] virtual std::vector<EventSource> events() = 0;

    /// Reads what a descriptor of events() has. True if the host may have changed since: the caller observes again.
    [[nodiscard]] virtual bool drain(int fd) = 0;
};

}  // namespace ctl::drivers
