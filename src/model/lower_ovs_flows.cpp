#include <fmt/format.h>

#include "base/text.h"
#include "model/fan.h"
#include "model/flow_text.h"
#include "model/nic_filter.h"
#include "model/open_vswitch.h"

namespace ctl::model {

namespace {

using flow::Match;

// Steps of one NIC's flows, the more special above the more general.
constexpr unsigned drop_all = 100;
constexpr unsigned let_frames = 101;
constexpr unsigned drop_protocol = 102;
constexpr unsigned let_protocol = 103;
constexpr unsigned drop_discovery = 104;
constexpr unsigned let_discovery = 105;
constexpr unsigned drop_tagged = 106;

constexpr int router_solicitation = 133;
constexpr int router_advertisement = 134;
constexpr int solicitation = 135;
constexpr int advertisement = 136;
constexpr int redirect = 137;
constexpr int listener_report = 143;

const std::string no_mac = "00:00:00:00:00:00";
constexpr const char* unspecified6 = "::";

/// What keeps one NIC to its own addresses: all that it may send is listed, and goes `onward`.
class NicFlows {
public:
    NicFlows(const NicFilter& filter, std::string_view interface, std::string_view onward, flow::Flows& flows)
        : filter_(filter), onward_(onward), flows_(flows) {
        nic_.in_port = flow::port(interface);
        own_ = nic_;
        if (filter.mac) own_.mac = filter.own_mac;
    }

    void add() {
        drop(drop_all, nic_);
        if (!(filter_.ipv4 && filter_.ipv6)) let(let_frames, own_);
        if (filter_.ipv4 || filter_.ipv6) {
            // Nobody can look into them for addresses.
            Match tagged = nic_;
            tagged.is_tagged = true;
            drop(drop_tagged, tagged);
        }
        if (filter_.mac || filter_.ipv4) add_arp();
        if (filter_.ipv4) add_ipv4();
        if (filter_.ipv6) add_ipv6();
        if ((filter_.mac || filter_.ipv6) && !is_mute6()) add_discovery();
    }

private:
    void drop(unsigned priority, const Match& match) { flows_.add(0, priority, match, "drop"); }
    void let(unsigned priority, const Match& match) { flows_.add(0, priority, match, onward_); }

    static Match of_type(Match match, std::string_view type) {
        match.type = type;
        return match;
    }
    static Match of_icmp(const Match& match, int type) {
        Match typed = of_type(match, "icmp6");
        typed.icmp_type = type;
        return typed;
    }

    [[nodiscard]] bool is_mute4() const { return filter_.ipv4 && !filter_.own4; }
    [[nodiscard]] bool is_mute6() const { return filter_.ipv6 && !filter_.own6; }

    void add_arp() {
        drop(drop_protocol, of_type(nic_, "arp"));
        if (is_mute4()) return;
        Match arp = of_type(own_, "arp");
        if (filter_.mac) arp.arp_mac = filter_.own_mac;
        for (const auto& sender : sources4()) {
            arp.source = sender;
            let(let_protocol, arp);
        }
    }

    /// Who looks for duplicates of an address speaks without one. "": whatever.
    [[nodiscard]] std::vector<std::string> sources4() const {
        return filter_.ipv4 ? std::vector<std::string>{"0.0.0.0", filter_.own4->str()} : std::vector<std::string>{""};
    }

    void add_ipv4() {
        drop(drop_protocol, of_type(nic_, "ip"));
        if (is_mute4()) return;
        Match packet = of_type(own_, "ip");
        packet.source = filter_.own4->str();
        let(let_protocol, packet);
        Match dhcp = of_type(own_, "udp");
        dhcp.source = "0.0.0.0";
        dhcp.destination = "255.255.255.255";
        dhcp.to_port = 67;
        let(let_protocol, dhcp);
    }

    [[nodiscard]] std::vector<std::string> own6() const {
        return filter_.ipv6 ? std::vector<std::string>{filter_.link_local.str(), filter_.own6->str()}
                            : std::vector<std::string>{""};
    }

    void add_ipv6() {
        drop(drop_protocol, of_type(nic_, "ipv6"));
        if (is_mute6()) return;
        for (const auto& source : own6()) {
            Match packet = of_type(own_, "ipv6");
            packet.source = source;
            let(let_protocol, packet);
        }
        for (const int type : {router_solicitation, listener_report}) {
            Match packet = of_icmp(own_, type);
            packet.source = unspecified6;
            let(let_protocol, packet);
        }
        for (const int type : {router_advertisement, redirect}) drop(drop_discovery, of_icmp(nic_, type));
    }

    /// MACs that may stand in a message about the NIC, which may also leave them out.
    [[nodiscard]] std::vector<std::string> macs() const {
        return filter_.mac ? std::vector<std::string>{no_mac, filter_.own_mac} : std::vector<std::string>{""};
    }

    void add_discovery() {
        for (const int type : {solicitation, advertisement}) drop(drop_discovery, of_icmp(nic_, type));
        const auto message = [&](int type, const std::string& source, const std::string& target) {
            Match match = of_icmp(own_, type);
            match.icmp_code = 0;
            match.source = source;
            match.nd_target = target;
            return match;
        };
        for (const auto& source : own6()) {
            for (const auto& mac : macs()) {
                Match asks = message(solicitation, source, "");
                asks.nd_source_mac = mac;
                let(let_discovery, asks);
                for (const auto& target : own6()) {
                    Match tells = message(advertisement, source, target);
                    tells.nd_target_mac = mac;
                    let(let_discovery, tells);
                }
            }
        }
        // Whether an address is free, asks who has none yet.
        for (const auto& target : own6()) {
            Match looks = message(solicitation, unspecified6, target);
            if (filter_.mac) looks.nd_source_mac = no_mac;
            let(let_discovery, looks);
        }
    }

    const NicFilter& filter_;
    std::string_view onward_;
    flow::Flows& flows_;
    Match nic_;  ///< all that comes from it
    Match own_;  ///< what comes from it with its MAC, where that is looked at
};

/// Who has an address of another host's part is looked for there.
void check_fan_addresses(Lowering& lowering, const Fan& fan, const Attachment& nic) {
    const Cidr part = fan.part_of(fan.host);
    for (const Cidr& cidr : nic.addresses) {
        if (cidr.address.family != IpAddress::Family::v4 || part.contains(cidr.address)) continue;
        const Value* value = find_value(nic.device->keys, "ipv4.address");
        lowering.diagnostics.error("fan-address",
                                   fmt::format("{} of container {} is not in {}, which is this host's part of the fan",
                                               cidr.address.str(), quoted(nic.container->name.text), part.str()),
                                   value != nullptr ? value->where : nic.device->where,
                                   fmt::format("use an address of {}", part.str()));
    }
}

}  // namespace

void lower_ovs_flows(Lowering& lowering, const resource::Network& network) {
    if (!is_ovs_network(network)) return;
    const std::string& name = network.name.text;
    const ObjectId id{ObjectKind::ovs_flows, name};
    const auto fan = fan_of(network);
    flow::Flows flows;
    SourceSpan place = network.name.where;
    std::vector<Need> needs;
    if (fan) {
        add_fan_flows(*fan, fan_port(network), flows);
        needs.push_back({{ObjectKind::ovs_port, fan_port(network)}, Bond::reapply});
    }
    for (const Attachment& nic : lowering.attachments[name]) {
        const NicFilter filter = nic.host_interface.empty() ? NicFilter{} : filter_of(nic);
        if (!filter.is_on() && !fan) continue;
        if (fan) check_fan_addresses(lowering, *fan, nic);
        // Nobody sends before he is watched.
        auto container = lowering.desired.find({ObjectKind::container, nic.container->name.text});
        if (container != lowering.desired.end()) container->second.needs.push_back({id, Bond::order});
        if (!filter.is_on()) continue;
        if (needs.empty()) place = nic.device->where;
        NicFlows(filter, nic.host_interface, fan ? fan_onward : "NORMAL", flows).add();
        needs.push_back({{ObjectKind::ovs_port, nic.host_interface}, Bond::reapply});
    }
    if (flows.empty()) return;
    const Value* parent = fake_bridge_parent(network);
    const std::string& bridge = parent != nullptr ? parent->text : name;
    needs.push_back({{ObjectKind::ovs_bridge, bridge}, Bond::rebuild});
    // Whose flows they are, the network's own row says.
    if (parent != nullptr) needs.push_back({{ObjectKind::ovs_port, name}, Bond::order});
    Entry& entry = lowering.add(id, OvsFlows{.bridge = bridge, .flows = flows.take()},
                                {lowering.stack.name, "Network", name}, network.name.where);
    entry.needs = std::move(needs);
    entry.places["flows"] = place;
}

}  // namespace ctl::model
