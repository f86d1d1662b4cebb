#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "cli/counters.h"
#include "cli/listing.h"
#include "model/host_state.h"

namespace ctl::cli {

/// What a person asks of a container first: what it is, what it takes, how it is connected.
struct ContainerReport {
    struct Interface {
        std::string name;
        std::string type;  ///< "veth", "macvlan", …; "foreign" for what others put there
        bool up = false;
        std::string host_side;  ///< the host's end of its pair, or the interface it sits on
        std::string network;    ///< the bridge its host's end is a port of
        std::string mac;
        std::string mtu;
        std::vector<std::string> addresses;
        model::ObjectId link;  ///< whose counters are the interface's
    };

    Item item;             ///< its columns in a listing
    std::string profiles;  ///< with which it was applied last: "default,web"
    bool held = false;     ///< a person brought it to its state and wants it to stay
    std::vector<Interface> interfaces;
};

/// Nothing if the host shows no container of ours by that name.
[[nodiscard]] std::optional<ContainerReport> report_container(const model::HostState& observed, const std::string& name);

/// The objects whose facts to_text() and to_json() want.
[[nodiscard]] std::set<model::ObjectId> interesting(const ContainerReport& report);

[[nodiscard]] std::string to_text(const ContainerReport& report, const FactsByObject& facts);
/// One object, "format": "ctl.container/1".
[[nodiscard]] std::string to_json(const ContainerReport& report, const FactsByObject& facts);

}  // namespace ctl::cli
