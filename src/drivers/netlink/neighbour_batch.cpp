#include "drivers/netlink/neighbour_batch.h"

#include <fmt/format.h>
#include <linux/rtnetlink.h>

#include <algorithm>
#include <cerrno>

#include "base/text.h"
#include "drivers/netlink/names.h"
#include "drivers/netlink/neighbours.h"
#include "drivers/netlink/snapshot.h"

namespace ctl::drivers::netlink {

namespace {

using diff::Verb;
using model::IpAddress;

class NeighbourBatch {
public:
    NeighbourBatch(Socket& socket, Snapshot links, std::vector<NeighbourRecord> there)
        : socket_(socket), links_(std::move(links)), there_(std::move(there)) {}

    Status apply(const diff::Change& change) {
        // Without a scope it is an IPv4 address.
        const auto name = model::ScopedName::parse(change.id.name);
        const auto address = IpAddress::parse(name.name);
        if (!name.netns.empty() || !address)
            return Error(ErrorCode::invalid, fmt::format("{} is no address of a neighbour", ctl::quoted(change.id.name)));
        const auto found = std::find_if(there_.begin(), there_.end(), [&](const auto& n) { return n.address == *address; });
        const NeighbourRecord* now = found != there_.end() ? &*found : nullptr;
        const bool is_ours = now != nullptr && now->protocol == our_protocol;
        // Its mark is a number only, which is no other's to mind: what is given back stays as it is.
        if (change.verb == Verb::forget) return ok();
        if (change.verb == Verb::remove) {
            if (now == nullptr) return ok();
            if (!is_ours) return Error(ErrorCode::conflict, "it carries no mark of ours, so it is not deleted");
            return send(neighbour_request(RTM_DELNEIGH, *address, now->link));
        }
        if (change.verb == Verb::create && now != nullptr && !is_ours)
            return Error(ErrorCode::conflict, "the host answers for that address already, and not by us")
                .hint("delete the entry, or set lifecycle.adopt to take it over");
        return set(change, *address, now);
    }

private:
    Status set(const diff::Change& change, const IpAddress& address, const NeighbourRecord* now) {
        const auto* wanted = change.desired ? std::get_if<model::Neighbour>(&change.desired->object) : nullptr;
        if (wanted == nullptr || !wanted->dev)
            return Error(ErrorCode::internal, "the change does not say whose neighbours are answered");
        const LinkRecord* link = links_.link(*wanted->dev);
        if (link == nullptr)
            return Error(ErrorCode::not_found, fmt::format("its link {} is not there", ctl::quoted(*wanted->dev)));
        CTL_TRY(send(neighbour_request(RTM_NEWNEIGH, address, link->index)));
        if (now == nullptr || now->link == link->index) return ok();
        return send(neighbour_request(RTM_DELNEIGH, address, now->link));
    }

    Status send(Request request) {
        CTL_ASSIGN(const auto answers, socket_.transact({&request, 1}));
        const Answer& answer = answers.front();
        const bool is_gone_already = request.header()->nlmsg_type == RTM_DELNEIGH && answer.error == ENOENT;
        if (answer.is_ok() || is_gone_already) return ok();
        return answer.as_error("the kernel");
    }

    Socket& socket_;
    const Snapshot links_;
    const std::vector<NeighbourRecord> there_;
};

Result<NeighbourBatch> look(Socket& socket) {
    CTL_ASSIGN(auto links, read_snapshot(socket));
    CTL_ASSIGN(auto there, read_neighbours(socket));
    return NeighbourBatch(socket, std::move(links), std::move(there));
}

}  // namespace

std::vector<Status> apply_neighbours(Scopes& scopes, std::span<const diff::Change* const> changes) {
    std::vector<Status> outcomes;
    if (changes.empty()) return outcomes;
    auto batch = look(scopes.host().socket);
    for (const diff::Change* change : changes) {
        Status outcome = batch ? batch->apply(*change) : Status(batch.error());
        if (!outcome) outcome = std::move(outcome).error().while_(doing(*change));
        outcomes.push_back(std::move(outcome));
    }
    return outcomes;
}

}  // namespace ctl::drivers::netlink
