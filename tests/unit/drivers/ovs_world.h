#pragma once

#include <doctest/doctest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "drivers/ovs/datapath.h"
#include "drivers/ovs/driver.h"
#include "support/open_vswitch.h"
#include "support/own_namespaces.h"
#include "support/skip.h"

#define SKIP_WITHOUT_NAMESPACES() \
    CTL_SKIP_IF(!ctl::testing::enter_own_namespaces().empty(), ctl::testing::enter_own_namespaces())

namespace ctl::drivers {

using diff::Change;
using diff::Verb;
using model::ObjectId;
using model::ObjectKind;
using model::OvsBridge;
using model::OvsPort;
using testing::OpenVswitch;
using testing::sh;

inline const model::ResourceRef owner{"lab", "Network", "ovs-br0"};

inline std::unique_ptr<Driver> driver_on(const std::string& database) {
    auto driver = make_ovs_driver({"/nonexistent", "/nonexistent", "/nonexistent", database});
    REQUIRE(driver);
    return std::move(*driver);
}

inline ObjectId bridge_id(const std::string& name) { return {ObjectKind::ovs_bridge, name}; }
inline ObjectId port_id(const std::string& name) { return {ObjectKind::ovs_port, name}; }

inline Change change(Verb verb, ObjectId id, std::optional<model::Object> object = std::nullopt) {
    Change made;
    made.id = std::move(id);
    made.verb = verb;
    if (object) {
        made.desired.edit().object = std::move(*object);
        made.desired.edit().owner = owner;
    }
    return made;
}

inline Change update(ObjectId id, const model::Object& object, std::initializer_list<const char*> fields) {
    Change made = change(Verb::update, std::move(id), object);
    for (const auto& view : model::fields_of(object))
        for (const char* name : fields)
            if (view.name == name) made.fields.push_back({name, std::nullopt, view.value, view.effect, {}, {}});
    return made;
}

inline OvsPort port_of(const std::string& bridge, const std::string& type = "system") {
    OvsPort port;
    port.bridge = bridge;
    port.type = type;
    return port;
}

/// A host with Open vSwitch and the driver on it.
struct World {
    OpenVswitch ovs{"/run/ovs"};
    std::unique_ptr<Driver> driver = driver_on(ovs.remote());

    std::vector<Status> apply(const std::vector<Change>& changes) const {
        std::vector<Status> outcomes(changes.size(), Error(ErrorCode::internal, "not reported"));
        driver->apply(changes, [&](std::size_t i, Status outcome) { outcomes[i] = std::move(outcome); }, {});
        return outcomes;
    }
    void must_apply(const std::vector<Change>& changes) const {
        for (const auto& outcome : apply(changes)) {
            const std::string why = outcome ? "" : outcome.error().str();
            REQUIRE_MESSAGE(outcome.has_value(), why);
        }
    }
    std::string failure(const Change& one) const {
        const auto outcomes = apply({one});
        return outcomes.front() ? "" : outcomes.front().error().str();
    }
    model::HostState observe() const {
        auto state = driver->observe({}, {});
        REQUIRE(state);
        return std::move(*state);
    }
    template <typename T>
    std::optional<T> see(const ObjectId& id) const {
        const auto state = observe();
        const auto found = state.find(id);
        return found != state.end() ? std::optional(std::get<T>(found->second.object)) : std::nullopt;
    }
};

inline OvsBridge some_bridge() {
    OvsBridge bridge;
    bridge.datapath = ovs::kernel_has_datapath() ? "system" : "netdev";
    return bridge;
}

inline void make_veth(const std::string& name, const std::string& peer) {
    sh("ip link add " + name + " type veth peer name " + peer + " && ip link set " + name + " up && ip link set " + peer +
       " up");
}
inline void drop_link(const std::string& name) { sh("ip link del " + name + " 2>/dev/null || true"); }

}  // namespace ctl::drivers
