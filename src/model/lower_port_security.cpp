#include <string>

#include <fmt/format.h>

#include "model/lower_firewall.h"
#include "model/nic_filter.h"
#include "model/nic_types.h"
#include "model/open_vswitch.h"
#include "model/value_types.h"

namespace ctl::model {

namespace {

using Family = IpAddress::Family;

/// What keeps one NIC to its own addresses. Looked at where its frames enter the bridge.
class NicRules {
public:
    NicRules(NicFilter filter, std::string chain, nft::Chains& chains)
        : filter_(std::move(filter)), chain_(std::move(chain)), chains_(chains) {}

    void add() {
        if (filter_.mac) add_mac();
        if (filter_.ipv4) add_ipv4();
        if (filter_.ipv6) add_ipv6();
        if (filter_.ipv4 && filter_.ipv6) rule("ether type != { ip, arp, ip6 } drop");
    }

private:
    void rule(std::string line) { chains_.rule(chain_, std::move(line)); }

    void add_mac() {
        rule(fmt::format("ether saddr != {} drop", filter_.own_mac));
        rule(fmt::format("arp saddr ether != {} drop", filter_.own_mac));
        // The MAC in a neighbour's or router's question and answer stands after the address that it is about. Behind
        // extension headers it would stand elsewhere; nobody honest puts any there.
        const std::string mac = nft::number(filter_.own_mac);
        const auto type = [](unsigned number) { return nft::icmp_type(Family::v6, number); };
        rule(nft::icmp_types(Family::v6, {133, 135, 136}) + " ip6 nexthdr != ipv6-icmp drop");
        rule(fmt::format("{} @nh,400,48 != {} drop", type(133), mac));
        // Who looks for duplicates of an address he does not have yet sends a nonce there instead.
        rule(fmt::format("ip6 saddr != :: {} @nh,528,48 != {} drop", type(135), mac));
        rule(fmt::format("{} @nh,528,48 != {} drop", type(136), mac));
    }

    void add_ipv4() {
        const auto& own = filter_.own4;
        if (!own) {
            rule("ether type arp drop");
            rule("ether type ip drop");
            return;
        }
        const IpAddress unspecified;
        rule(fmt::format("arp saddr ip != {} drop", nft::addresses({{unspecified, unspecified}, {*own, *own}})));
        rule("ip saddr 0.0.0.0 ip daddr 255.255.255.255 udp dport 67 accept");
        rule(fmt::format("ip saddr != {} drop", own->str()));
    }

    void add_ipv6() {
        const auto& own = filter_.own6;
        if (!own) {
            rule("ether type ip6 drop");
            return;
        }
        const IpAddress& link_local = filter_.link_local;
        const auto type = [](unsigned number) { return nft::icmp_type(Family::v6, number); };
        rule(nft::icmp_types(Family::v6, {134, 137}) + " drop");
        rule(nft::icmp_types(Family::v6, {133, 135, 136}) + " ip6 nexthdr != ipv6-icmp drop");
        // The address that an advertisement, or the question whether it is free, is about.
        const std::string not_ours = fmt::format("@nh,384,128 != {} @nh,384,128 != {}", hex(link_local), hex(*own));
        rule(fmt::format("{} {} drop", type(136), not_ours));
        rule(fmt::format("ip6 saddr :: {} {} drop", type(135), not_ours));
        rule(fmt::format("ip6 saddr :: {} accept", nft::icmp_types(Family::v6, {133, 135, 143})));
        rule(fmt::format("ip6 saddr != {} drop", nft::addresses({{link_local, link_local}, {*own, *own}})));
    }

    static std::string hex(const IpAddress& address) {
        std::string text;
        for (const auto byte : address.bytes) text += fmt::format("{:02x}", byte);
        return nft::number(text);
    }

    NicFilter filter_;
    std::string chain_;
    nft::Chains& chains_;
};

/// What the kernel's queues go by for packets that come from the NIC, if it has one.
std::optional<std::int64_t> priority_of(const Attachment& nic) {
    const Value* value = find_value(nic.device->keys, "limits.priority");
    const auto priority = value != nullptr ? parse_uint(value->text, max_packet_priority) : std::nullopt;
    return priority == std::int64_t{0} ? std::nullopt : priority;
}

}  // namespace

void lower_port_security(Lowering& lowering, const resource::Network& network) {
    const auto attached = lowering.attachments.find(network.name.text);
    // The kernel's firewall for bridges sees its own only.
    if (attached == lowering.attachments.end() || is_ovs_network(network)) return;
    const ObjectId id{ObjectKind::nft_table, "ctlports_" + network.name.text};
    nft::Chains chains;
    std::map<std::string, std::string> dispatch;
    SourceSpan place;
    for (const Attachment& nic : attached->second) {
        if (nic.host_interface.empty()) continue;
        NicFilter filter = filter_of(nic);
        const auto priority = priority_of(nic);
        if (!filter.is_on() && !priority) continue;
        const std::string chain = "nic_" + nic.host_interface;
        dispatch.emplace(nic.host_interface, chain);
        // First, since what a filter accepts sees no further rule.
        if (priority) chains.rule(chain, fmt::format("meta priority set {:x}:{:x}", *priority >> 16, *priority & 0xffff));
        NicRules(std::move(filter), chain, chains).add();
        if (!place.is_known()) place = nic.device->where;
        // Nobody sends before he is watched.
        auto container = lowering.desired.find({ObjectKind::container, nic.container->name.text});
        if (container != lowering.desired.end()) container->second.needs.push_back({id, Bond::order});
    }
    if (dispatch.empty()) return;
    chains.base("prerouting", "filter hook prerouting priority filter");
    chains.rule("prerouting", nft::dispatch(dispatch));
    Entry& entry = lowering.add(id, NftTable{.family = "bridge", .chains = chains.take()},
                                {lowering.stack.name, "Network", network.name.text}, network.name.where);
    entry.places["chains"] = place;
}

}  // namespace ctl::model
