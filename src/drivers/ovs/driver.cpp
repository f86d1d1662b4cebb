#include "drivers/ovs/driver.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "base/text.h"
#include "drivers/api/mark.h"
#include "drivers/ovs/ovs_shim.h"

namespace ctl::drivers {

namespace {

constexpr const char* default_database = "unix:/var/run/openvswitch/db.sock";
constexpr std::chrono::milliseconds deadline{5000};

Error not_yet(const diff::Change& change) {
    return Error(ErrorCode::unsupported, fmt::format("{}: Open vSwitch bridges are not supported yet", change.id.str()));
}

void add_bridge(model::HostState& state, const char* name, const char* datapath_type, const char* mark) {
    const model::ObjectId id{model::ObjectKind::ovs_bridge, name};
    model::Entry entry;
    // An empty type is the database's way to say the kernel's datapath.
    entry.object = model::OvsBridge{*datapath_type != '\0' ? datapath_type : "system"};
    if (const auto owner = mark != nullptr ? read_mark(mark, id) : std::nullopt) {
        entry.owner = *owner;
        entry.mark = model::Mark::complete;
    }
    state.emplace(id, std::move(entry));
}

class OvsDriver final : public Driver {
public:
    explicit OvsDriver(const DriverContext& context)
        : database_(context.ovs_db.empty() ? default_database : context.ovs_db),
          info_{"ovs", "bridges of Open vSwitch", {model::ObjectKind::ovs_bridge}} {}

    const DriverInfo& info() const override { return info_; }

    Result<model::HostState> observe(const Interest& interest, std::stop_token stop) override {
        const auto is_bridge = [](const model::ObjectId& id) { return id.kind == model::ObjectKind::ovs_bridge; };
        const auto wanted = std::ranges::find_if(interest.ids, is_bridge);
        if (!interest.all && wanted == interest.ids.end()) return model::HostState{};
        if (stop.stop_requested())
            return Error(ErrorCode::cancelled, "interrupted before reading the Open vSwitch database");

        model::HostState state;
        const int failure = ctl_ovs_visit_bridges(
            database_.c_str(), static_cast<int>(deadline.count()),
            [](void* found, const char* name, const char* datapath_type, const char* mark) {
                add_bridge(*static_cast<model::HostState*>(found), name, datapath_type, mark);
            },
            &state);
        if (failure == ENOENT || failure == ECONNREFUSED) {
            if (wanted == interest.ids.end()) return model::HostState{};
            return Error(ErrorCode::missing_driver, fmt::format("{} needs Open vSwitch, but nobody serves {}: {}",
                                                                wanted->str(), quoted(database_), std::strerror(failure)))
                .hint("apt-get install openvswitch-switch");
        }
        if (failure == ETIMEDOUT) {
            return Error(ErrorCode::timeout, fmt::format("no answer from {} in {} ms", quoted(database_), deadline.count()));
        }
        if (failure != 0)
            return system_error(failure, fmt::format("read the Open vSwitch database at {}", quoted(database_)));
        if (!interest.all) std::erase_if(state, [&](const auto& item) { return !interest.ids.contains(item.first); });
        return state;
    }

    std::vector<Error> preflight(std::span<const diff::Change> changes) override {
        std::vector<Error> errors;
        for (const diff::Change& change : changes) errors.push_back(not_yet(change));
        return errors;
    }

    void apply(std::span<const diff::Change> changes, const Report& report, std::stop_token) override {
        for (std::size_t i = 0; i < changes.size(); ++i) report(i, not_yet(changes[i]));
    }

    std::vector<EventSource> events() override { return {}; }
    bool drain(int) override { return false; }

private:
    std::string database_;
    DriverInfo info_;
};

}  // namespace

Result<std::unique_ptr<Driver>> make_ovs_driver(const DriverContext& context) {
    return std::unique_ptr<Driver>(std::make_unique<OvsDriver>(context));
}

}  // namespace ctl::drivers
