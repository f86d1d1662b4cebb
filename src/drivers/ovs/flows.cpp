#include "drivers/ovs/flows.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"

namespace ctl::drivers::ovs {

namespace {

using diff::Change;
using diff::Verb;
using model::Entry;
using model::ObjectId;
using model::ObjectKind;
using model::OvsBridge;
using model::OvsFlows;
using model::OvsPort;

constexpr std::int64_t patience = 10'000;  // milliseconds

bool has_bridge(const Rows& rows, const std::string& bridge) { return rows.contains({ObjectKind::ovs_bridge, bridge}); }

PortNumbers ports_of(const Rows& rows, const std::string& bridge) {
    PortNumbers ports;
    for (const auto& [id, row] : rows) {
        const auto* port = std::get_if<OvsPort>(&row.entry.object);
        if (port != nullptr && port->bridge == bridge && row.ofport > 0) ports.emplace(id.name, row.ofport);
    }
    return ports;
}

/// The real bridge under a network of ours, if the row is one's.
std::optional<std::string> bridge_of_network(const ObjectId& id, const Entry& entry) {
    const bool is_network =
        entry.mark == model::Mark::complete && entry.owner.kind == "Network" && entry.owner.name == id.name;
    if (!is_network) return std::nullopt;
    if (std::holds_alternative<OvsBridge>(entry.object)) return id.name;
    const auto* port = std::get_if<OvsPort>(&entry.object);
    return port != nullptr && port->fake_bridge.value_or(false) ? port->bridge : std::nullopt;
}

class Observation {
public:
    Observation(const Rows& rows, const Interest& interest) : interest_(interest) {
        for (const auto& [id, row] : rows) {
            const auto bridge = bridge_of_network(id, row.entry);
            const ObjectId flows{ObjectKind::ovs_flows, id.name};
            if (!bridge || !(interest.all || interest.ids.contains(flows))) continue;
            bridges_.insert(*bridge);
            names_.emplace(id.name, &row.entry);
        }
        for (const auto& id : interest.ids) {
            if (id.kind != ObjectKind::ovs_flows || !names_.emplace(id.name, nullptr).second) continue;
            // Its network is gone, its flows may be on whatever bridge that was a VLAN of.
            for (const auto& [other, row] : rows)
                if (other.kind == ObjectKind::ovs_bridge) bridges_.insert(other.name);
        }
    }

    [[nodiscard]] const std::set<std::string>& bridges() const { return bridges_; }

    /// Whether somebody asks for flows by name that may be on the bridge.
    [[nodiscard]] bool is_asked_for() const {
        return std::any_of(interest_.ids.begin(), interest_.ids.end(),
                           [](const ObjectId& id) { return id.kind == ObjectKind::ovs_flows; });
    }

    void add(const std::string& bridge, FlowTexts texts, model::HostState& state) const {
        for (const auto& [name, network] : names_) {
            const auto found = texts.find(flow_cookie(name));
            if (found == texts.end()) continue;
            Entry entry;
            entry.object = OvsFlows{.bridge = bridge, .flows = std::move(found->second)};
            entry.mark = network != nullptr ? model::Mark::complete : model::Mark::begun;
            if (network != nullptr) entry.owner = network->owner;
            state.emplace(ObjectId{ObjectKind::ovs_flows, name}, std::move(entry));
        }
    }

private:
    const Interest& interest_;
    std::set<std::string> bridges_;
    std::map<std::string, const Entry*> names_;
};

std::optional<std::string> bridge_in(const diff::SharedEntry& entry) {
    const auto* flows = entry ? std::get_if<OvsFlows>(&entry->object) : nullptr;
    return flows != nullptr ? flows->bridge : std::nullopt;
}

Status apply_one(Switches& switches, const Rows& rows, const Change& change) {
    if (change.verb == Verb::stop || change.verb == Verb::forget) return ok();
    const bool removes = change.verb == Verb::remove;
    const auto bridge = bridge_in(removes ? change.observed : change.desired);
    // With the bridge its flows are gone.
    if (removes && (!bridge || !has_bridge(rows, *bridge))) return ok();
    if (!bridge) return Error(ErrorCode::internal, "the change does not say on which bridge");
    if (!has_bridge(rows, *bridge))
        return Error(ErrorCode::not_found, fmt::format("there is no bridge {} in Open vSwitch", quoted(*bridge)))
            .hint("see: ovs-vsctl list-br");
    const auto flows = removes ? std::vector<std::string>()
                               : std::get<OvsFlows>(change.desired->object).flows.value_or(std::vector<std::string>());
    auto outcome = switches.replace(*bridge, ports_of(rows, *bridge), flow_cookie(change.id.name), flows);
    // And with ovs-vswitchd.
    if (removes && !outcome && outcome.error().code() == ErrorCode::not_found) return ok();
    return outcome;
}

}  // namespace

Status observe_flows(Switches& switches, const Rows& rows, const Interest& interest, model::HostState& state) {
    const Observation observation(rows, interest);
    for (const auto& bridge : observation.bridges()) {
        auto texts = switches.read(bridge, ports_of(rows, bridge));
        if (texts) {
            observation.add(bridge, std::move(*texts), state);
            continue;
        }
        if (observation.is_asked_for() && texts.error().code() != ErrorCode::not_found) return std::move(texts).error();
    }
    return ok();
}

std::vector<Status> apply_flows(Database& database, std::span<const Change* const> changes) {
    std::vector<Status> outcomes(changes.size(), ok());
    database.run([&](Connection& connection) {
        const auto connected = connection.connect(ctl_ovs_now() + patience, true);
        const Rows rows = connected ? read_rows(connection.replica()) : Rows();
        for (std::size_t i = 0; i < changes.size(); ++i)
            outcomes[i] = connected ? apply_one(connection.switches(), rows, *changes[i]) : connected;
    });
    return outcomes;
}

}  // namespace ctl::drivers::ovs
