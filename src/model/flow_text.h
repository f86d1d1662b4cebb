#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "model/ip.h"

// OpenFlow flows, spelled as ovs-ofctl shows them, so that what is read back equals what was written. Each word is made of
// checked values, never of text of a person's: nothing here can break out of its place.

namespace ctl::model::flow {

/// A port by its name, which must be one of an interface (is_interface_name).
[[nodiscard]] std::string port(std::string_view name);

/// What a flow is about. The switch shows fields in an order of its own, which is this one.
struct Match {
    std::string_view type{};  ///< arp, ip, udp, ipv6 or icmp6; "" for all frames
    std::string tunnel_source{};
    std::string in_port{};   ///< as port() spells it
    bool is_tagged = false;  ///< has an 802.1Q header
    std::string mac{};       ///< source
    std::string source{};    ///< address, of the type's family; so is the next
    std::string destination{};
    std::string arp_mac{};  ///< the sender's in ARP
    int icmp_type = -1;
    int icmp_code = -1;
    std::string nd_target{};
    std::string nd_source_mac{};
    std::string nd_target_mac{};
    int to_port = -1;

    [[nodiscard]] std::string str() const;
};

/// Flows in the making.
class Flows {
public:
    void add(unsigned table, unsigned priority, const Match& match, std::string_view actions);

    [[nodiscard]] bool empty() const { return flows_.empty(); }
    /// Sorted.
    [[nodiscard]] std::vector<std::string> take() const { return {flows_.begin(), flows_.end()}; }

private:
    std::set<std::string> flows_;
};

}  // namespace ctl::model::flow
