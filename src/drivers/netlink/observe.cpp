#include "drivers/netlink/observe.h"

#include <linux/if.h>

#include "drivers/api/mark.h"
#include "drivers/netlink/checksums.h"
#include "drivers/netlink/limits.h"
#include "drivers/netlink/loans.h"
#include "drivers/netlink/names.h"
#include "drivers/netlink/neighbours.h"

namespace ctl::drivers::netlink {

namespace {

using model::Entry;
using model::HostState;
using model::Link;
using model::LinkType;
using model::ObjectId;
using model::ObjectKind;
using model::ScopedName;

/// The dumps of one observation, by namespace; "" is the host.
using Snapshots = std::map<std::string, Snapshot>;

class Observation {
public:
    Observation(Scopes& scopes, const Interest& interest) : scopes_(scopes), interest_(interest) {}

    Result<HostState> run(const std::stop_token& stop) {
        for (const auto& name : wanted_scopes()) {
            if (stop.stop_requested()) return Error(ErrorCode::cancelled, "interrupted while looking at the links");
            CTL_TRY(read(name));
        }
        CTL_TRY(read_peers());
        for (const auto& [name, scope] : scopes_.pinned()) add_netns(*scope);
        for (const auto& [name, snapshot] : snapshots_) {
            const Scope& scope = *scopes_.find(name);
            for (const LinkRecord& link : snapshot.links) {
                add_link(scope, link);
                if (name.empty()) add_begun_loan(link);
            }
            for (const RouteRecord& route : snapshot.routes) add_route(scope, snapshot, route);
        }
        CTL_ASSIGN(const auto neighbours, read_neighbours(scopes_.host().socket));
        for (const NeighbourRecord& neighbour : neighbours) add_neighbour(neighbour);
        return std::move(state_);
    }

private:
    /// The host always: a namespace's links have their other halves there.
    std::set<std::string> wanted_scopes() {
        std::set<std::string> names{""};
        if (interest_.all) {
            for (const auto& [name, scope] : scopes_.pinned()) names.insert(name);
        } else {
            for (const auto& id : interest_.ids)
                if (id.kind != ObjectKind::netns) names.insert(ScopedName::parse(id.name).netns);
        }
        return names;
    }

    Status read(const std::string& name) {
        Scope* scope = scopes_.find(name);
        if (scope == nullptr) return ok();
        CTL_ASSIGN(snapshots_[name], read_snapshot(scope->socket));
        // Containers' ends have none of ours: whoever is root in there could take them away.
        return name.empty() ? read_limits(scope->socket, snapshots_[name]) : ok();
    }

    /// Namespaces that are needed only to name the other ends of veths.
    Status read_peers() {
        std::set<std::string> more;
        for (const LinkRecord& link : snapshots_[""].links) {
            if (link.kind != "veth" || !link.lower_namespace || !is_wanted({ObjectKind::link, link.name})) continue;
            const Scope* peer = scopes_.by_number(*link.lower_namespace);
            if (peer != nullptr && !snapshots_.contains(peer->pin.name)) more.insert(peer->pin.name);
        }
        for (const auto& name : more) CTL_TRY(read(name));
        return ok();
    }

    bool is_wanted(const ObjectId& id) const { return interest_.all || interest_.ids.contains(id); }

    void add(ObjectId id, Entry entry) {
        if (is_wanted(id)) state_.emplace(std::move(id), std::move(entry));
    }

    void add_netns(const Scope& scope) {
        Entry entry;
        model::Netns netns;
        if (!scope.pin.idmap.empty()) netns.idmap = scope.pin.idmap;
        entry.object = std::move(netns);
        const ObjectId id{ObjectKind::netns, scope.pin.name};
        const auto owner = read_mark(scope.pin.mark, id);
        entry.mark = owner ? model::Mark::complete : model::Mark::begun;
        if (owner) entry.owner = *owner;
        add(id, std::move(entry));
    }

    void add_link(const Scope& scope, const LinkRecord& record) {
        const ObjectId id{ObjectKind::link, ScopedName{scope.pin.name, record.name}.str()};
        if (!is_wanted(id)) return;
        Link link;
        link.type = record.type();
        if (const auto loan = read_loan(record.alias); loan && !scope.pin.name.empty()) link.hardware = loan->name;
        if (link.type == LinkType::veth) link.peer = peer_of(scope, record);
        const std::set<LinkType> stacked{LinkType::macvlan, LinkType::vxlan, LinkType::ipvlan, LinkType::vlan};
        if (link.type && stacked.contains(*link.type)) link.parent = parent_of(scope, record);
        link.mode = record.mode;
        link.vlan = record.vlan;
        link.gvrp = record.gvrp;
        link.vni = record.vni;
        link.local = record.local;
        link.remote = record.remote;
        link.port = record.port;
        link.ttl = record.ttl;
        if (!record.mac.empty()) link.mac = record.mac;
        link.mtu = record.mtu;
        const LinkRecord* master = snapshots_[scope.pin.name].link(record.master);
        link.master = master != nullptr ? master->name : std::string();
        link.isolated = record.isolated;
        link.send_limit = record.send_limit;
        link.receive_limit = record.receive_limit;
        link.up = (record.flags & IFF_UP) != 0;
        link.ipv6 = record.ipv6;
        link.addresses = record.cidrs();
        // Set on containers' ends of veths only: nobody else's is worth a question to the kernel.
        if (link.type == LinkType::veth && !scope.pin.name.empty())
            link.tx_checksum = leaves_checksums(scope.socket.fd(), record.name);
        Entry entry;
        entry.object = std::move(link);
        const Ownership ownership = ownership_of(record, id);
        entry.mark = ownership.mark;
        entry.owner = ownership.owner;
        add(id, std::move(entry));
    }

    /// A NIC on the host that says to whom it is lent is on its way there, or back.
    void add_begun_loan(const LinkRecord& record) {
        const auto loan = read_loan(record.alias);
        const auto id = loan ? marked_object(mark_of(record.alias)) : std::nullopt;
        if (!id || id->kind != ObjectKind::link) return;
        Entry entry;
        Link link;
        link.hardware = loan->name;
        entry.object = std::move(link);
        entry.mark = model::Mark::begun;
        add(*id, std::move(entry));
    }

    void add_route(const Scope& scope, const Snapshot& snapshot, const RouteRecord& record) {
        const ObjectId id{ObjectKind::route, route_name(scope.pin.name, record.destination)};
        model::Route route;
        if (record.via) route.via = record.via->str();
        if (const LinkRecord* link = snapshot.link(record.link)) route.dev = link->name;
        Entry entry;
        entry.object = std::move(route);
        // A route carries a number only. In a namespace of ours it is the namespace that says whose it is; and who asks
        // there for this destination has set it, whoever has replaced it since.
        if (record.protocol == our_protocol || (interest_.ids.contains(id) && !scope.pin.name.empty())) {
            const auto owner = read_mark(scope.pin.mark, {ObjectKind::netns, scope.pin.name});
            // The host has no pin that could name the stack its routes are of.
            const auto without = scope.pin.name.empty() ? model::Mark::unnamed : model::Mark::begun;
            entry.mark = owner ? model::Mark::complete : without;
            if (owner) entry.owner = *owner;
        }
        add(id, std::move(entry));  // the first of several for one destination stays: ours, else the best metric
    }

    void add_neighbour(const NeighbourRecord& record) {
        Entry entry;
        model::Neighbour neighbour;
        if (const LinkRecord* link = snapshots_[""].link(record.link)) neighbour.dev = link->name;
        entry.object = std::move(neighbour);
        if (record.protocol == our_protocol) entry.mark = model::Mark::unnamed;
        add({ObjectKind::neighbour, neighbour_name(record.address)}, std::move(entry));  // the first of several: ours
    }

    std::optional<std::string> name_in(const std::string& netns, int index) {
        const auto snapshot = snapshots_.find(netns);
        const LinkRecord* link = snapshot != snapshots_.end() ? snapshot->second.link(index) : nullptr;
        return link != nullptr ? std::optional(ScopedName{netns, link->name}.str()) : std::nullopt;
    }

    /// Both ends of a veth name each other by number. The host's numbers for namespaces are known; a namespace's own number
    /// for another one is not, but whoever names it back is its peer.
    std::optional<std::string> peer_of(const Scope& scope, const LinkRecord& record) {
        if (!record.lower_namespace) return name_in(scope.pin.name, record.lower);
        if (scope.number == -1) {
            const Scope* other = scopes_.by_number(*record.lower_namespace);
            return other != nullptr ? name_in(other->pin.name, record.lower) : std::nullopt;
        }
        const LinkRecord* on_host = snapshots_[""].link(record.lower);
        if (on_host != nullptr && on_host->kind == "veth" && on_host->lower == record.index &&
            on_host->lower_namespace == scope.number)
            return on_host->name;
        for (const auto& [name, snapshot] : snapshots_) {
            const LinkRecord* other = snapshot.link(record.lower);
            const bool mutual =
                other != nullptr && other->kind == "veth" && other->lower == record.index && other->lower_namespace;
            if (!name.empty() && name != scope.pin.name && mutual && !is_host_pair(name, *other))
                return ScopedName{name, other->name}.str();
        }
        return std::nullopt;
    }

    bool is_host_pair(const std::string& netns, const LinkRecord& record) {
        const LinkRecord* on_host = snapshots_[""].link(record.lower);
        return on_host != nullptr && on_host->kind == "veth" && on_host->lower == record.index &&
               on_host->lower_namespace == scopes_.find(netns)->number;
    }

    /// Parents are in the same namespace or on the host.
    std::optional<std::string> parent_of(const Scope& scope, const LinkRecord& record) {
        if (record.lower == 0) return std::nullopt;
        return name_in(record.lower_namespace ? std::string() : scope.pin.name, record.lower);
    }

    Scopes& scopes_;
    const Interest& interest_;
    Snapshots snapshots_;
    HostState state_;
};

}  // namespace

Ownership ownership_of(const LinkRecord& link, const ObjectId& id) {
    if (auto owner = read_mark(mark_of(link.alias), id)) return {model::Mark::complete, std::move(*owner)};
    return {link.in_our_group() ? model::Mark::begun : model::Mark::none, {}};
}

Result<HostState> observe_scopes(Scopes& scopes, const Interest& interest, std::stop_token stop) {
    CTL_TRY(scopes.refresh());
    return Observation(scopes, interest).run(stop);
}

}  // namespace ctl::drivers::netlink
