#include "drivers/netlink/link_batch.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>

#include "drivers/api/mark.h"
#include "drivers/netlink/checksums.h"
#include "drivers/netlink/limits.h"
#include "drivers/netlink/loans.h"
#include "drivers/netlink/names.h"
#include "drivers/netlink/observe.h"

namespace ctl::drivers::netlink {

namespace {

using model::Cidr;
using model::Link;
using model::LinkType;
using model::ObjectId;
using model::ObjectKind;
using model::ScopedName;

void note_failure(LinkJob& job, const Answer& answer) { job.fail(answer); }

void note_deletion(LinkJob& job, const Answer& answer) {
    if (answer.error != ENODEV) job.fail(answer);
}

void note_birth(LinkJob& job, const Answer& answer) {
    if (answer.error == EOPNOTSUPP && answer.explanation.empty() && !job.is_failed())
        job.outcome =
            Answer{EOPNOTSUPP, fmt::format("this kernel has no {} support", model::to_string(*job.wanted.type))}.as_error(
                job.doing());
    job.fail(answer);
}

/// Whether the link to be removed is, or was on the way to be, a NIC of the host.
bool is_loan(const LinkJob& job, const LinkRecord* link) {
    if (link != nullptr) return read_loan(link->alias).has_value();
    const auto* seen = job.change->observed ? std::get_if<Link>(&job.change->observed->object) : nullptr;
    return seen != nullptr && seen->hardware;
}

bool is_v6(const Cidr& cidr) { return cidr.address.family == model::IpAddress::Family::v6; }

}  // namespace

std::vector<LinkJob> LinkBatch::run() {
    read_scopes();
    remove();
    check();
    clear_leftovers();
    give_birth();
    switch_ipv6();
    change_settings();
    isolate_ports();
    limit_rates();
    switch_checksums();
    change_addresses();
    return std::move(jobs_);
}

void LinkBatch::put(Streams& streams, const std::string& scope, Request request, LinkJob& job) {
    Stream& stream = streams[scope];
    stream.requests.push_back(std::move(request));
    stream.jobs.push_back(&job);
}

void LinkBatch::send(Streams& streams, OnAnswer on_answer) {
    for (auto& [name, stream] : streams) {
        auto answers = scopes_.find(name)->socket.transact(stream.requests);
        for (std::size_t i = 0; i < stream.jobs.size(); ++i) {
            if (answers) on_answer(*stream.jobs[i], (*answers)[i]);
            else stream.jobs[i]->fail(answers.error());
        }
    }
}

Status LinkBatch::read(const std::string& scope) {
    Scope* found = scopes_.find(scope);
    if (found == nullptr) return Error(ErrorCode::not_found, fmt::format("the network namespace of {} is not there", scope));
    CTL_ASSIGN(snapshots_[scope], read_snapshot(found->socket));
    return ok();
}

void LinkBatch::read_scopes() {
    for (LinkJob& job : jobs_) {
        if (job.is_failed()) continue;
        std::set<std::string> names{job.where.netns};
        // Parents and the near ends of veths are on the host; other namespaces only if a veth to be made leads there.
        if (job.births && job.wanted.type != LinkType::bridge) names.insert("");
        if (job.births && job.wanted.peer) names.insert(ScopedName::parse(*job.wanted.peer).netns);
        for (const auto& name : names) {
            if (snapshots_.contains(name)) continue;
            // A link in a namespace that is gone is deleted already.
            if (job.removes && scopes_.find(name) == nullptr) continue;
            if (auto outcome = read(name); !outcome) job.fail(std::move(outcome).error());
        }
    }
}

const LinkRecord* LinkBatch::find(const ScopedName& name) const {
    const auto snapshot = snapshots_.find(name.netns);
    return snapshot != snapshots_.end() ? snapshot->second.link(name.name) : nullptr;
}

bool LinkBatch::is_ours(const ScopedName& name, const LinkRecord& link) const {
    return ownership_of(link, {ObjectKind::link, name.str()}).mark != model::Mark::none;
}

void LinkBatch::remove() {
    Streams moves;
    Streams single;
    std::map<std::string, std::vector<LinkJob*>> victims;
    for (LinkJob& job : jobs_) {
        if (!job.removes || job.is_failed()) continue;
        const LinkRecord* link = find(job.where);
        if (is_loan(job, link)) {
            if (auto outcome = give_back(scopes_, job.change->id); !outcome) job.fail(std::move(outcome).error());
            continue;
        }
        if (link == nullptr) continue;
        if (is_ours(job.where, *link)) victims[job.where.netns].push_back(&job);
        else job.fail(Error(ErrorCode::conflict, "the link carries no mark of ours, so it is not deleted"));
    }
    for (auto& [scope, jobs] : victims) {
        for (LinkJob* job : jobs) {
            const LinkRecord& link = *find(job->where);
            if (jobs.size() == 1) put(single, scope, delete_request(link.index), *job);
            else put(moves, scope, group_request(link.index, doomed_link_group), *job);
        }
    }
    send(single, note_deletion);
    send(moves, note_deletion);
    // One request per namespace: every link deleted on its own would cost the kernel a grace period each.
    Streams groups;
    for (auto& [scope, jobs] : victims)
        if (jobs.size() > 1) put(groups, scope, delete_group_request(doomed_link_group), *jobs.front());
    for (auto& [scope, stream] : groups) {
        const auto answers = scopes_.find(scope)->socket.transact(stream.requests);
        for (LinkJob* job : victims[scope]) {
            if (!answers) job->fail(answers.error());
            else note_deletion(*job, answers->front());
        }
    }
}

void LinkBatch::check() {
    for (LinkJob& job : jobs_) {
        if (job.removes || job.is_failed()) continue;
        const LinkRecord* link = find(job.where);
        if (link == nullptr) {
            if (!job.births && job.change->verb != diff::Verb::forget)
                job.fail(Error(ErrorCode::not_found, "there is no such link"));
            continue;
        }
        const bool takes_over =
            job.borrowed || job.change->verb == diff::Verb::adopt || job.change->verb == diff::Verb::forget;
        if (!takes_over && !is_ours(job.where, *link))
            job.fail(Error(ErrorCode::conflict, "a link of that name is there and is not ours")
                         .hint("delete or rename it, or set lifecycle.adopt to take it over"));
    }
}

void LinkBatch::clear_leftovers() {
    Streams streams;
    std::set<std::string> stale;
    for (LinkJob& job : jobs_) {
        if (!job.births || job.is_failed()) continue;
        const LinkRecord* link = find(job.where);
        const auto clear = [&](const std::string& scope, const LinkRecord& leftover) {
            put(streams, scope, delete_request(leftover.index), job);
            stale.insert(scope);
        };
        const auto loan = link != nullptr ? read_loan(link->alias) : std::nullopt;
        if (loan) {
            if (loan->name == job.wanted.hardware) continue;
            if (auto outcome = give_back(scopes_, job.change->id); !outcome) job.fail(std::move(outcome).error());
            stale.insert(job.where.netns);
        } else if (link != nullptr && (job.wanted.hardware || link->type() != job.wanted.type))
            clear(job.where.netns, *link);
        // The other end without this one belongs to a pair that was torn or renamed.
        if (link != nullptr || job.wanted.type != LinkType::veth || !job.wanted.peer) continue;
        const ScopedName peer = ScopedName::parse(*job.wanted.peer);
        const LinkRecord* other = find(peer);
        if (other == nullptr) continue;
        if (is_ours(peer, *other)) clear(peer.netns, *other);
        else
            job.fail(Error(ErrorCode::conflict,
                           fmt::format("its peer's name {} is taken by a link that is not ours", peer.str())));
    }
    send(streams, note_deletion);
    for (const auto& scope : stale) {
        auto outcome = read(scope);
        for (LinkJob& job : jobs_)
            if (!outcome && job.where.netns == scope) job.fail(outcome.error());
    }
}

void LinkBatch::give_birth() {
    Streams streams;
    for (LinkJob& job : jobs_) {
        if (!job.births || job.is_failed() || find(job.where) != nullptr || born_.contains(job.where.str())) continue;
        if (job.wanted.hardware) borrow(job);
        else if (job.wanted.type == LinkType::veth) put_veth(streams, job);
        else put_birth(streams, job);
    }
    send(streams, note_birth);
    if (born_.empty()) return;
    std::set<std::string> changed;
    for (const auto& name : born_) changed.insert(ScopedName::parse(name).netns);
    for (const auto& scope : changed) {
        auto outcome = read(scope);
        for (LinkJob& job : jobs_)
            if (!outcome && job.where.netns == scope) job.fail(outcome.error());
    }
}

void LinkBatch::borrow(LinkJob& job) {
    born_.insert(job.where.str());
    if (auto outcome = lend(scopes_, *job.wanted.hardware, job.change->id, job.mark.value_or("")); !outcome)
        job.fail(std::move(outcome).error());
}

void LinkBatch::put_birth(Streams& streams, LinkJob& job) {
    int parent = 0;
    std::string from = job.where.netns;
    if (job.wanted.parent) {
        const LinkRecord* link = find({"", *job.wanted.parent});
        if (link == nullptr) {
            job.fail(Error(ErrorCode::not_found, fmt::format("its parent {} is not there", *job.wanted.parent)));
            return;
        }
        parent = link->index;
        from.clear();
    }
    Birth birth{job.where.name, -1, &job.wanted};
    if (from != job.where.netns) birth.netns = scopes_.find(job.where.netns)->netns.get();
    born_.insert(job.where.str());
    put(streams, from, birth_request(birth, parent), job);
}

void LinkBatch::put_veth(Streams& streams, LinkJob& job) {
    if (!job.wanted.peer) {
        job.fail(Error(ErrorCode::invalid, "a veth needs a peer"));
        return;
    }
    const ScopedName peer = ScopedName::parse(*job.wanted.peer);
    const auto birth_of = [&](const ScopedName& name) {
        const auto found = std::find_if(jobs_.begin(), jobs_.end(), [&](const LinkJob& other) {
            return other.births && other.where.str() == name.str();
        });
        return Birth{name.name, -1, found != jobs_.end() ? &found->wanted : nullptr};
    };
    // Made from the host if one end is there, so that the other is never seen on it.
    const bool from_peer = peer.netns.empty();
    const ScopedName& near_name = from_peer ? peer : job.where;
    const ScopedName& far_name = from_peer ? job.where : peer;
    Birth far = birth_of(far_name);
    if (far_name.netns != near_name.netns) far.netns = scopes_.find(far_name.netns)->netns.get();
    born_.insert(job.where.str());
    born_.insert(peer.str());
    put(streams, near_name.netns, veth_request(birth_of(near_name), far), job);
}

void LinkBatch::switch_ipv6() {
    std::map<std::string, std::vector<LinkJob*>> switches;
    for (LinkJob& job : jobs_) {
        const LinkRecord* link = job.is_failed() || job.removes || !job.wanted.ipv6 ? nullptr : find(job.where);
        if (link != nullptr && link->ipv6 != *job.wanted.ipv6) switches[job.where.netns].push_back(&job);
    }
    const auto write = [](LinkJob& job) {
        if (auto outcome = write_ipv6(job.where.name, *job.wanted.ipv6); !outcome) job.fail(std::move(outcome).error());
    };
    if (switches.empty()) return;
    in_own_thread([&] {
        for (auto& [scope, jobs] : switches) {
            auto entered = enter(scopes_.find(scope)->netns);
            for (LinkJob* job : jobs) {
                if (entered) write(*job);
                else job->fail(entered.error());
            }
        }
    });
}

void LinkBatch::change_settings() {
    Streams streams;
    for (LinkJob& job : jobs_) {
        const LinkRecord* link = job.is_failed() || job.removes ? nullptr : find(job.where);
        if (link == nullptr) {
            if (job.births && !job.is_failed()) job.fail(Error(ErrorCode::io, "the link was made but is not there"));
            continue;
        }
        LinkSettings settings;
        settings.link = job.wanted;
        settings.alias = job.mark;
        if (job.mark) settings.group = job.mark->empty() ? 0 : link_group;
        if (const auto loan = read_loan(link->alias); loan && job.mark && !job.mark->empty()) {
            settings.alias = loan_alias(*job.mark, *loan);
            settings.group.reset();
        }
        // Somebody's own group is not ours to reset.
        if (job.mark && job.mark->empty() && !link->in_our_group()) settings.group.reset();
        if (job.wanted.master) {
            const LinkRecord* master = job.wanted.master->empty() ? nullptr : find({job.where.netns, *job.wanted.master});
            if (master == nullptr && !job.wanted.master->empty()) {
                job.fail(Error(ErrorCode::not_found, fmt::format("its master {} is not there", *job.wanted.master)));
                continue;
            }
            settings.master = master != nullptr ? master->index : 0;
        }
        if (auto request = change_request(*link, settings)) put(streams, job.where.netns, std::move(*request), job);
    }
    send(streams, note_failure);
}

void LinkBatch::isolate_ports() {
    Streams streams;
    for (LinkJob& job : jobs_) {
        const LinkRecord* link = job.is_failed() || job.removes || !job.wanted.isolated ? nullptr : find(job.where);
        // Asked for again even where it was so: what has been a port a moment ago may be the port of another bridge now.
        if (link != nullptr) put(streams, job.where.netns, isolation_request(link->index, *job.wanted.isolated), job);
    }
    send(streams, note_failure);
}

void LinkBatch::limit_rates() {
    std::set<std::string> limited;
    for (const LinkJob& job : jobs_)
        if (!job.is_failed() && !job.removes && (job.wanted.send_limit || job.wanted.receive_limit))
            limited.insert(job.where.netns);
    for (const auto& scope : limited) {
        auto outcome = read_limits(scopes_.find(scope)->socket, snapshots_[scope]);
        for (LinkJob& job : jobs_)
            if (!outcome && job.where.netns == scope) job.fail(outcome.error());
    }
    Streams streams;
    for (LinkJob& job : jobs_) {
        const LinkRecord* link = job.is_failed() || job.removes ? nullptr : find(job.where);
        if (link == nullptr) continue;
        for (auto& request : limit_requests(*link, job.wanted)) put(streams, job.where.netns, std::move(request), job);
    }
    send(streams, note_failure);
}

void LinkBatch::switch_checksums() {
    for (LinkJob& job : jobs_) {
        const LinkRecord* link = job.is_failed() || job.removes || !job.wanted.tx_checksum ? nullptr : find(job.where);
        if (link == nullptr) continue;
        const int socket = scopes_.find(job.where.netns)->socket.fd();
        job.fail(Answer{leave_checksums(socket, link->name, *job.wanted.tx_checksum), ""});
    }
}

void LinkBatch::change_addresses() {
    Streams first;
    Streams last;
    std::set<std::string> to_reread;
    for (LinkJob& job : jobs_) {
        const LinkRecord* link = job.is_failed() || job.removes ? nullptr : find(job.where);
        if (link == nullptr || (!job.wanted.addresses && !job.drops_our_addresses)) continue;
        for (const AddressRecord& address : link->addresses) {
            const bool stays =
                job.wanted.addresses ? job.wanted.addresses->contains(address.cidr) : address.protocol != our_protocol;
            if (stays) continue;
            // IPv6 has no two prefix lengths of one address: there the old one has to make room.
            const bool blocks = is_v6(address.cidr) && job.wanted.addresses &&
                                std::any_of(job.wanted.addresses->begin(), job.wanted.addresses->end(),
                                            [&](const Cidr& c) { return c.address == address.cidr.address; });
            Streams& stream = blocks ? first : last;
            // Without any address for a moment the link would lose its routes as well.
            if (!is_v6(address.cidr) && !job.borrowed)
                put(stream, job.where.netns, promote_secondaries_request(link->index), job);
            put(stream, job.where.netns, delete_address_request(link->index, address.cidr), job);
            to_reread.insert(job.where.netns);
        }
    }
    const auto gone_is_fine = [](LinkJob& job, const Answer& answer) {
        if (answer.error != EADDRNOTAVAIL && answer.error != ENODEV) job.fail(answer);
    };
    send(first, gone_is_fine);
    add_missing_addresses();
    send(last, gone_is_fine);
    if (to_reread.empty()) return;
    // On a link of others, deleting a primary IPv4 address takes the rest of its subnet with it: put back what is to stay.
    for (const auto& scope : to_reread) {
        auto outcome = read(scope);
        for (LinkJob& job : jobs_)
            if (!outcome && job.where.netns == scope) job.fail(outcome.error());
    }
    add_missing_addresses();
}

void LinkBatch::add_missing_addresses() {
    Streams streams;
    for (LinkJob& job : jobs_) {
        const LinkRecord* link = job.is_failed() || job.removes || !job.wanted.addresses ? nullptr : find(job.where);
        if (link == nullptr) continue;
        const auto present = link->cidrs();
        for (const Cidr& address : *job.wanted.addresses)
            if (!present.contains(address)) put(streams, job.where.netns, add_address_request(link->index, address), job);
    }
    send(streams, [](LinkJob& job, const Answer& answer) {
        if (answer.error != EEXIST) job.fail(answer);
    });
}

}  // namespace ctl::drivers::netlink
