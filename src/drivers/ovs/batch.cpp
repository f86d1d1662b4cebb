#include "drivers/ovs/batch.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "base/text.h"
#include "drivers/api/mark.h"
#include "drivers/ovs/datapath.h"
#include "drivers/ovs/rows.h"

namespace ctl::drivers::ovs {

namespace {

using diff::Change;
using diff::Verb;
using model::ObjectId;
using model::ObjectKind;
using model::OvsBridge;
using model::OvsPort;

constexpr std::int64_t least_time = 10'000;  // milliseconds
// The userspace datapath takes up to 18 ms to let go of one port.
constexpr std::int64_t time_per_port = 100;
constexpr std::int64_t time_to_open = 5000;

/// One change on its way.
struct Job {
    const Change* change;
    Status outcome = ok();
    bool is_open = true;  ///< not failed, not done

    void fail(Error error) {
        outcome = std::move(error);
        is_open = false;
    }
};

struct EndTransaction {
    void operator()(ctl_ovs_txn* txn) const { ctl_ovs_end(txn); }
};
using Transaction = std::unique_ptr<ctl_ovs_txn, EndTransaction>;

class Batch {
public:
    Batch(Connection& connection, std::vector<Job*> jobs, std::size_t size)
        : connection_(connection),
          jobs_(std::move(jobs)),
          deadline_(ctl_ovs_now() + least_time + time_per_port * static_cast<std::int64_t>(size)) {}

    void run() {
        Status outcome = commit([&](ctl_ovs_txn* txn) { return unplug(txn); });
        if (outcome) outcome = commit([&](ctl_ovs_txn* txn) { return write(txn); });
        if (outcome) outcome = wait_for_ports();
        if (outcome) return judge();
        if (!is_refused_ || open_jobs().size() < 2) return fail_open(outcome.error());
        // The server takes all or nothing and doesn't say which row it dislikes: one by one it does.
        for (Job* job : open_jobs()) Batch(connection_, {job}, 1).run();
    }

private:
    [[nodiscard]] std::vector<Job*> open_jobs() const {
        std::vector<Job*> open;
        for (Job* job : jobs_)
            if (job->is_open) open.push_back(job);
        return open;
    }

    void fail_open(const Error& error) {
        for (Job* job : open_jobs()) job->fail(error);
    }

    // ---- transactions

    /// Builds and commits until the server has taken it and ovs-vswitchd has brought it about. `build` fails single jobs,
    /// and says whether anything is left to send.
    template <typename Build>
    Status commit(const Build& build) {
        for (;;) {
            CTL_TRY(connection_.connect(deadline_, true));
            rows_ = read_rows(connection_.replica());
            const unsigned generation = ctl_ovs_generation(connection_.replica());
            CTL_ASSIGN(const auto sent, send(build));
            if (sent.outcome == CTL_OVS_NOTHING) return ok();
            if (sent.outcome == CTL_OVS_DONE) {
                was_taken_ = true;
                return wait_for_switch(sent.config);
            }
            wait_for_news(generation);
        }
    }

    struct Sent {
        ctl_ovs_outcome outcome;
        std::int64_t config = 0;
    };

    /// One transaction, which ends before its replica may be given up.
    template <typename Build>
    Result<Sent> send(const Build& build) {
        const Transaction txn(ctl_ovs_begin(connection_.replica()));
        if (txn == nullptr)
            return Error(ErrorCode::missing_driver, "the Open vSwitch database has never been initialised")
                .hint("ovs-vsctl init, or start the service openvswitch-switch");
        if (!build(txn.get())) return Sent{CTL_OVS_NOTHING};
        CTL_ASSIGN(const auto outcome, settle(*txn));
        if (outcome == CTL_OVS_DONE) return Sent{outcome, ctl_ovs_txn_config(txn.get())};
        if (outcome != CTL_OVS_FAILED) return Sent{outcome};
        is_refused_ = true;
        const char* words = ctl_ovs_txn_error(txn.get());
        return Error(ErrorCode::io, fmt::format("the Open vSwitch database refuses it: {}", escaped(words)));
    }

    Result<ctl_ovs_outcome> settle(ctl_ovs_txn& txn) {
        for (;;) {
            const auto outcome = ctl_ovs_commit(&txn);
            if (outcome != CTL_OVS_PENDING) return outcome;
            if (ctl_ovs_now() >= deadline_)
                return Error(ErrorCode::timeout, "no answer from the Open vSwitch database to a transaction");
            connection_.block(&txn, deadline_);
            if (ctl_ovs_run(connection_.replica()) == 0) return CTL_OVS_AGAIN;
        }
    }

    /// The replica was behind, or the server went away: there is something new to build upon soon.
    void wait_for_news(unsigned generation) {
        while (connection_.run() && ctl_ovs_generation(connection_.replica()) == generation && ctl_ovs_now() < deadline_)
            connection_.block(nullptr, deadline_);
    }

    Status wait_for_switch(std::int64_t config) {
        for (;;) {
            CTL_TRY(connection_.connect(deadline_, true));
            if (ctl_ovs_current_config(connection_.replica()) >= config) return ok();
            if (ctl_ovs_now() >= deadline_)
                return Error(ErrorCode::timeout, "it is in the Open vSwitch database, but ovs-vswitchd does not take it up")
                    .hint("is ovs-vswitchd running? systemctl status openvswitch-switch");
            connection_.block(nullptr, deadline_);
        }
    }

    // ---- what is written

    [[nodiscard]] const Row* row(const ObjectId& id) const {
        const auto found = rows_.find(id);
        return found != rows_.end() ? &found->second : nullptr;
    }

    /// Fails a job that would touch what isn't ours, or what isn't there.
    void check(Job& job) {
        const Change& change = *job.change;
        const Row* there = row(change.id);
        const bool makes = change.verb == Verb::create;
        if (there == nullptr) {
            if (!makes && change.verb != Verb::remove && change.verb != Verb::forget)
                return job.fail(Error(ErrorCode::not_found, "it is not in the Open vSwitch database"));
            return check_place(job);
        }
        const bool takes_over = change.verb == Verb::adopt || change.verb == Verb::forget;
        if (there->entry.mark == model::Mark::none && !takes_over)
            return job.fail(
                Error(ErrorCode::conflict, "one of that name is there and is not ours").hint("see: ovs-vsctl show"));
        check_place(job);
    }

    /// Ports need their bridge, and their name.
    void check_place(Job& job) {
        const Change& change = *job.change;
        const auto* port = change.desired ? std::get_if<OvsPort>(&change.desired->object) : nullptr;
        if (change.id.kind == ObjectKind::ovs_bridge) {
            if (change.verb == Verb::create && row({ObjectKind::ovs_port, change.id.name}) != nullptr)
                job.fail(Error(ErrorCode::conflict, "a port of that name is there").hint("see: ovs-vsctl show"));
        } else if (port != nullptr && port->bridge && row({ObjectKind::ovs_bridge, *port->bridge}) == nullptr) {
            job.fail(Error(ErrorCode::not_found, fmt::format("there is no bridge {} in Open vSwitch", quoted(*port->bridge)))
                         .hint("see: ovs-vsctl list-br"));
        }
    }

    /// The userspace datapath does not notice a link that was made anew under its old name: its port has to go first, in a
    /// transaction of its own.
    bool unplug(ctl_ovs_txn* txn) {
        bool any = false;
        for (Job* job : open_jobs()) {
            check(*job);
            const Row* there = job->is_open && job->change->verb == Verb::create ? row(job->change->id) : nullptr;
            const auto* port = there != nullptr ? std::get_if<OvsPort>(&there->entry.object) : nullptr;
            if (port == nullptr || port->plugged.value_or(false)) continue;
            ctl_ovs_delete_port(txn, job->change->id.name.c_str());
            any = true;
        }
        return any;
    }

    bool write(ctl_ovs_txn* txn) {
        for (Job* job : open_jobs()) {
            check(*job);
            if (!job->is_open) continue;
            if (job->change->id.kind == ObjectKind::ovs_bridge) write_bridge(txn, *job->change);
            else write_port(txn, *job->change);
        }
        return !open_jobs().empty();
    }

    /// Columns of what the change wants written.
    static unsigned columns_of_change(const Change& change) {
        std::vector<std::string_view> fields;
        const bool all = change.verb == Verb::create || change.fields.empty();
        if (all && change.desired) {
            for (const auto& view : model::fields_of(change.desired->object))
                if (view.value) fields.push_back(view.name);
        } else {
            for (const auto& field : change.fields) fields.push_back(field.name);
        }
        return columns_of(change.id.kind, fields);
    }

    static std::string mark_of(const Change& change) {
        return change.desired ? make_mark(change.desired->owner, change.id) : std::string();
    }

    void write_bridge(ctl_ovs_txn* txn, const Change& change) {
        const std::string& name = change.id.name;
        if (change.verb == Verb::remove) return ctl_ovs_delete_bridge(txn, name.c_str());
        const bool is_new = row(change.id) == nullptr;
        if (change.verb == Verb::forget && is_new) return;
        const OvsBridge bridge = change.desired ? std::get<OvsBridge>(change.desired->object) : OvsBridge();
        unsigned columns = columns_of_change(change) | CTL_OVS_MARK;
        if (is_new) columns |= CTL_OVS_DATAPATH;
        ctl_ovs_put_bridge(txn, BridgeRow(name, bridge, mark_of(change)).get(), columns);
    }

    void write_port(ctl_ovs_txn* txn, const Change& change) {
        const std::string& name = change.id.name;
        if (change.verb == Verb::remove) return ctl_ovs_delete_port(txn, name.c_str());
        if (change.verb == Verb::forget && row(change.id) == nullptr) return;
        const OvsPort port = change.desired ? std::get<OvsPort>(change.desired->object) : OvsPort();
        unsigned columns = columns_of_change(change) | CTL_OVS_MARK;
        std::int64_t number = 0;
        if (change.verb != Verb::update) {
            columns |= CTL_OVS_IFINDEX;
            number = change.verb == Verb::create && port.type == "system" ? link_number(name) : 0;
        }
        ctl_ovs_put_port(txn, PortRow(name, port, mark_of(change), number).get(), columns);
    }

    // ---- what came of it

    /// Nothing had to be written for it, but the switch, just started, may still be at it.
    [[nodiscard]] bool is_pending() const {
        return std::any_of(jobs_.begin(), jobs_.end(), [&](const Job* job) {
            const Row* there = job->is_open && is_made(*job) ? row(job->change->id) : nullptr;
            return there != nullptr && there->ofport == 0 && there->error.empty();
        });
    }

    Status wait_for_ports() {
        const std::int64_t until = std::min(deadline_, ctl_ovs_now() + time_to_open);
        for (;;) {
            CTL_TRY(connection_.connect(deadline_, true));
            rows_ = read_rows(connection_.replica());
            if (!is_pending() || was_taken_ || ctl_ovs_now() >= until) return ok();
            connection_.block(nullptr, until);
        }
    }

    static bool is_made(const Job& job) { return job.change->verb != Verb::remove && job.change->verb != Verb::forget; }

    void judge() {
        for (Job* job : open_jobs()) {
            if (!is_made(*job)) continue;
            const Row* there = row(job->change->id);
            if (there == nullptr) job->fail(Error(ErrorCode::diverging, "somebody deleted it at once"));
            else if (!there->error.empty())
                job->fail(Error(ErrorCode::io, fmt::format("Open vSwitch: {}", escaped(there->error))));
            else if (there->ofport <= 0) job->fail(not_taken(*there));
        }
    }

    static Error not_taken(const Row& there) {
        const auto* bridge = std::get_if<OvsBridge>(&there.entry.object);
        if (bridge != nullptr && bridge->datapath == "system" && !kernel_has_datapath())
            return Error(ErrorCode::unsupported, "this kernel has no Open vSwitch datapath")
                .hint("modprobe openvswitch, or set openvswitch.datapath: netdev");
        return Error(ErrorCode::io, "ovs-vswitchd could not open its interface").hint("see ovs-vswitchd's log");
    }

    Connection& connection_;
    std::vector<Job*> jobs_;
    std::int64_t deadline_;
    bool is_refused_ = false;
    bool was_taken_ = false;  ///< by ovs-vswitchd: what it has not opened then it won't
    Rows rows_;
};

}  // namespace

std::vector<Status> apply_batch(Database& database, std::span<const Change* const> changes, const std::stop_token& stop) {
    std::vector<Job> jobs;
    std::vector<Job*> open;
    jobs.reserve(changes.size());
    for (const Change* change : changes) jobs.push_back({change});
    for (Job& job : jobs) {
        if (job.change->verb == Verb::stop) continue;
        if (stop.stop_requested())
            job.fail(Error(ErrorCode::cancelled, fmt::format("{}: interrupted before it began", job.change->id.str())));
        else open.push_back(&job);
    }
    if (!open.empty()) {
        const std::size_t size = open.size();
        database.run([&](Connection& connection) { Batch(connection, std::move(open), size).run(); });
    }
    std::vector<Status> outcomes;
    for (Job& job : jobs) outcomes.push_back(std::move(job.outcome));
    return outcomes;
}

}  // namespace ctl::drivers::ovs
