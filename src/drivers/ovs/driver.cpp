#include "drivers/ovs/driver.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "drivers/ovs/batch.h"
#include "drivers/ovs/database.h"
#include "drivers/ovs/datapath.h"
#include "drivers/ovs/rows.h"

namespace ctl::drivers {

namespace {

using diff::Change;
using diff::Verb;
using model::ObjectId;
using model::ObjectKind;

constexpr const char* default_database = "unix:/var/run/openvswitch/db.sock";
constexpr std::int64_t patience = 5000;  // milliseconds for reading

bool is_our_kind(const ObjectId& id) { return id.kind == ObjectKind::ovs_bridge || id.kind == ObjectKind::ovs_port; }

class OvsDriver final : public Driver {
public:
    explicit OvsDriver(const DriverContext& context)
        : database_(context.ovs_db.empty() ? default_database : context.ovs_db) {}

    const DriverInfo& info() const override { return info_; }

    Result<model::HostState> observe(const Interest& interest, std::stop_token stop) override {
        const auto wanted = std::ranges::find_if(interest.ids, is_our_kind);
        if (!interest.all && wanted == interest.ids.end()) return model::HostState{};
        if (stop.stop_requested())
            return Error(ErrorCode::cancelled, "interrupted before reading the Open vSwitch database");
        Status outcome = ok();
        ovs::Rows rows;
        database_.run([&](ovs::Connection& connection) {
            outcome = connection.connect(ctl_ovs_now() + patience, false);
            if (outcome) rows = ovs::read_rows(connection.replica());
        });
        if (!outcome) {
            if (outcome.error().code() != ErrorCode::missing_driver) return outcome.error();
            if (wanted == interest.ids.end()) return model::HostState{};
            return Error(ErrorCode::missing_driver,
                         fmt::format("{} needs Open vSwitch, but {}", escaped(wanted->str()), outcome.error().message()))
                .hint(outcome.error().hint());
        }
        model::HostState state;
        for (auto& [id, row] : rows)
            if (interest.all || interest.ids.contains(id)) state.emplace(id, std::move(row.entry));
        return state;
    }

    std::vector<Error> preflight(std::span<const Change> changes) override {
        std::vector<Error> errors;
        for (const Change& change : changes) {
            const auto* bridge = change.desired ? std::get_if<model::OvsBridge>(&change.desired->object) : nullptr;
            const bool is_made = change.verb == Verb::create || change.verb == Verb::replace;
            if (!is_made || bridge == nullptr || bridge->datapath != "system" || ovs::kernel_has_datapath()) continue;
            errors.push_back(diff::refusal(
                Error(ErrorCode::unsupported,
                      fmt::format("{} asks for the datapath system, which this kernel does not have", change.id.str()))
                    .hint("modprobe openvswitch, or set openvswitch.datapath: netdev"),
                change));
        }
        return errors;
    }

    void apply(std::span<const Change> changes, const Report& report, std::stop_token stop) override {
        auto outcomes = ovs::apply_batch(database_, changes, stop);
        for (std::size_t i = 0; i < outcomes.size(); ++i) report(i, std::move(outcomes[i]));
    }

    std::vector<EventSource> events() override { return {{database_.event_fd(), "Open vSwitch's database"}}; }

    bool drain(int fd) override { return fd == database_.event_fd() && database_.drain_event(); }

private:
    DriverInfo info_{"ovs", "bridges and ports of Open vSwitch", {ObjectKind::ovs_bridge, ObjectKind::ovs_port}};
    ovs::Database database_;
};

}  // namespace

Result<std::unique_ptr<Driver>> make_ovs_driver(const DriverContext& context) {
    return std::unique_ptr<Driver>(std::make_unique<OvsDriver>(context));
}

}  // namespace ctl::drivers
