#include "drivers/netlink/counters.h"

#include <linux/if_link.h>
#include <linux/rtnetlink.h>

#include <algorithm>
#include <cstring>

namespace ctl::drivers::netlink {

namespace {

using model::ObjectId;
using model::ObjectKind;
using model::ScopedName;

Facts facts_from(Bytes stats) {
    rtnl_link_stats64 counters{};
    std::memcpy(&counters, stats.data(), std::min(stats.size(), sizeof counters));
    const auto number = [](std::uint64_t value) { return model::FieldValue(static_cast<std::int64_t>(value)); };
    return {{"rx_bytes", number(counters.rx_bytes)},     {"rx_packets", number(counters.rx_packets)},
            {"rx_dropped", number(counters.rx_dropped)}, {"rx_errors", number(counters.rx_errors)},
            {"tx_bytes", number(counters.tx_bytes)},     {"tx_packets", number(counters.tx_packets)},
            {"tx_dropped", number(counters.tx_dropped)}, {"tx_errors", number(counters.tx_errors)}};
}

}  // namespace

Result<std::map<ObjectId, Facts>> read_counters(Scopes& scopes, const std::set<ObjectId>& ids) {
    CTL_TRY(scopes.refresh());
    std::set<std::string> namespaces;
    for (const ObjectId& id : ids)
        if (id.kind == ObjectKind::link) namespaces.insert(ScopedName::parse(id.name).netns);

    std::map<ObjectId, Facts> counters;
    for (const std::string& name : namespaces) {
        Scope* scope = scopes.find(name);
        if (scope == nullptr) continue;
        const auto add = [&](const nlmsghdr* message) {
            if (message->nlmsg_type != RTM_NEWLINK) return;
            const Attributes attributes(message, sizeof(ifinfomsg));
            ObjectId id{ObjectKind::link, ScopedName{name, attributes.text(IFLA_IFNAME)}.str()};
            if (ids.contains(id)) counters.insert_or_assign(std::move(id), facts_from(attributes.get(IFLA_STATS64)));
        };
        CTL_TRY(scope->socket.dump(
            Request(RTM_GETLINK, NLM_F_DUMP, bytes_of(ifinfomsg{})), [] {}, add));
    }
    return counters;
}

}  // namespace ctl::drivers::netlink
