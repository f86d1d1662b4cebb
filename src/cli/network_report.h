#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cli/counters.h"
#include "model/host_state.h"

namespace ctl::cli {

/// What a person asks of a network first: who is on it, by which port, with which addresses, and whether it carries
/// anything.
struct NetworkReport {
    struct Port {
        std::string name;       ///< the interface on the host; a macvlan's NIC has none
        std::string container;  ///< "" for a physical port or a tunnel
        std::string nic;        ///< inside the container
        std::string mac;
        std::string vlan;  ///< "409", "10 20 tagged"; "" without
        std::vector<std::string> addresses;
        model::ObjectId link;  ///< whose counters are the port's
    };

    std::string name;
    std::string stack;
    std::string type;  ///< "bridge", "macvlan", "Open vSwitch bridge", …
    model::Link link;
    std::vector<Port> ports;                   ///< by name
    std::vector<std::string> services;         ///< "dnsmasq, running"
    std::vector<std::string> tables;           ///< of nftables, by name
    std::vector<std::string> stale;            ///< ports of others in Open vSwitch whose interface is gone
    std::size_t flows = 0;                     ///< of the network's own in Open vSwitch
    std::optional<model::ObjectId> leased_by;  ///< whose facts have the leases
};

/// Nothing if the host shows no network of ours by that name.
[[nodiscard]] std::optional<NetworkReport> report_network(const model::HostState& observed, const std::string& name);

/// The objects whose facts to_text() and to_json() want.
[[nodiscard]] std::set<model::ObjectId> interesting(const NetworkReport& report);

[[nodiscard]] std::string to_text(const NetworkReport& report, const FactsByObject& facts);
/// One object, "format": "ctl.network/1".
[[nodiscard]] std::string to_json(const NetworkReport& report, const FactsByObject& facts);

}  // namespace ctl::cli
