#include "drivers/netlink/loans.h"

#include <fmt/format.h>
#include <linux/if.h>

#include <algorithm>

#include "base/text.h"
#include "drivers/api/mark.h"
#include "drivers/netlink/link_requests.h"
#include "drivers/netlink/names.h"
#include "model/value_types.h"

namespace ctl::drivers::netlink {

namespace {

using model::ObjectId;
using model::ScopedName;

constexpr std::string_view separator = " was ";
constexpr std::size_t longest_alias = 255;

/// A link that was lent to what `id` names; null if there is none.
const LinkRecord* find_lent(const Snapshot& snapshot, const ObjectId& id) {
    const auto found = std::find_if(snapshot.links.begin(), snapshot.links.end(), [&](const LinkRecord& link) {
        return read_loan(link.alias) && read_mark(mark_of(link.alias), id);
    });
    return found != snapshot.links.end() ? &*found : nullptr;
}

Status send(Socket& socket, const Request& request) {
    CTL_ASSIGN(const auto answers, socket.transact({&request, 1}));
    return answers.front().is_ok() ? ok() : Status(answers.front().as_error("the kernel"));
}

Status set(Socket& socket, const LinkRecord& link, const LinkSettings& settings) {
    const auto request = change_request(link, settings);
    return request ? send(socket, *request) : ok();
}

bool is_link_local(const model::IpAddress& address) {
    return model::Cidr::parse("fe80::/10")->contains(address) || model::Cidr::parse("169.254.0.0/16")->contains(address);
}

/// What it was on the host, as far as a link of that kind has it.
LinkSettings settings_of(const Loan& loan) {
    LinkSettings settings;
    settings.link.mac = loan.mac;
    settings.link.mtu = loan.mtu;
    return settings;
}

/// Moves it out of the namespace. Who is root in there can write aliases: a name that is none goes no further.
Status take_out(Scopes& scopes, Scope& from, const Snapshot& host, const LinkRecord& link) {
    const Loan loan = *read_loan(link.alias);
    CTL_TRY(check_link_name({"", loan.name}));
    if (host.link(loan.name) != nullptr)
        return Error(ErrorCode::conflict, fmt::format("the host has another link of its name, {}", loan.name))
            .hint(fmt::format("rename that one: ip link set {} name NAME", loan.name));
    LinkSettings down;
    down.link.up = false;
    CTL_TRY(set(from.socket, link, down));
    CTL_TRY(set(from.socket, link, settings_of(loan)));
    return send(from.socket, move_request(link.index, scopes.host().netns.get(), loan.name));
}

}  // namespace

std::string loan_alias(std::string_view mark, const Loan& loan) {
    const std::string was = fmt::format("{} {} {} {}", loan.name, loan.mac, loan.mtu, loan.up ? "up" : "down");
    return fmt::format("{}{}{}{}{}", mark, separator, was, loan.alias.empty() ? "" : " ", loan.alias);
}

std::optional<Loan> read_loan(std::string_view alias) {
    const std::size_t at = alias.find(separator);
    if (at == std::string_view::npos) return std::nullopt;
    const std::string_view was = alias.substr(at + separator.size());
    const auto words = split(was, ' ');
    const auto mtu = words.size() >= 4 ? model::parse_uint(words[2], 0xffffffff) : std::nullopt;
    if (!mtu || (words[3] != "up" && words[3] != "down")) return std::nullopt;
    Loan loan{std::string(words[0]), std::string(words[1]), static_cast<unsigned>(*mtu), words[3] == "up", {}};
    if (words.size() > 4) loan.alias = was.substr(static_cast<std::size_t>(words[4].data() - was.data()));
    return loan;
}

std::string_view mark_of(std::string_view alias) { return alias.substr(0, alias.find(separator)); }

Status check_may_be_lent(const LinkRecord& nic, const Snapshot& host, const ObjectId& id) {
    if (nic.in_our_group()) return Error(ErrorCode::conflict, fmt::format("{} is a link that ctl made", nic.name));
    if (read_loan(nic.alias) && !read_mark(mark_of(nic.alias), id))
        return Error(ErrorCode::conflict, fmt::format("{} is lent already: {}", nic.name, ctl::quoted(nic.alias)));
    if (const LinkRecord* master = host.link(nic.master))
        return Error(ErrorCode::conflict, fmt::format("{} is a port of {}", nic.name, master->name))
            .hint(fmt::format("take it out: ip link set {} nomaster", nic.name));
    for (const AddressRecord& address : nic.addresses)
        if (!is_link_local(address.cidr.address))
            return Error(ErrorCode::conflict,
                         fmt::format("{} has the host's address {}, which would be lost", nic.name, address.cidr.str()))
                .hint(fmt::format("if the host can do without: ip addr del {} dev {}", address.cidr.str(), nic.name));
    return ok();
}

Status lend(Scopes& scopes, const std::string& hardware, const ObjectId& link, std::string_view mark) {
    const ScopedName where = ScopedName::parse(link.name);
    const Scope* scope = scopes.find(where.netns);
    if (scope == nullptr)
        return Error(ErrorCode::not_found, fmt::format("the network namespace of {} is not there", where.netns));
    CTL_ASSIGN(const Snapshot host, read_snapshot(scopes.host().socket));
    const LinkRecord* begun = find_lent(host, link);
    const LinkRecord* nic = begun != nullptr ? begun : host.link(hardware);
    if (nic == nullptr) return Error(ErrorCode::not_found, fmt::format("the NIC {} is not there", ctl::quoted(hardware)));
    CTL_TRY(check_may_be_lent(*nic, host, link));
    const Loan loan =
        read_loan(nic->alias).value_or(Loan{nic->name, nic->mac, nic->mtu, (nic->flags & IFF_UP) != 0, nic->alias});
    LinkSettings settings;
    settings.alias = loan_alias(mark, loan);
    if (settings.alias->size() > longest_alias)
        return Error(ErrorCode::invalid, fmt::format("its mark would have {} bytes", settings.alias->size()))
            .hint(fmt::format("shorten the names of stack and container: the kernel keeps {} bytes", longest_alias));
    CTL_TRY(set(scopes.host().socket, *nic, settings));
    return send(scopes.host().socket, move_request(nic->index, scope->netns.get(), where.name));
}

Status give_back(Scopes& scopes, const ObjectId& link) {
    CTL_ASSIGN(Snapshot host, read_snapshot(scopes.host().socket));
    if (Scope* scope = scopes.find(ScopedName::parse(link.name).netns)) {
        CTL_ASSIGN(const Snapshot inside, read_snapshot(scope->socket));
        if (const LinkRecord* lent = find_lent(inside, link)) {
            CTL_TRY(take_out(scopes, *scope, host, *lent));
            CTL_ASSIGN(host, read_snapshot(scopes.host().socket));
        }
    }
    const LinkRecord* nic = find_lent(host, link);
    if (nic == nullptr) return ok();
    const Loan loan = *read_loan(nic->alias);
    LinkSettings settings = settings_of(loan);
    settings.link.up = loan.up;
    CTL_TRY(set(scopes.host().socket, *nic, settings));
    LinkSettings unmarked;
    unmarked.alias = loan.alias;
    return set(scopes.host().socket, *nic, unmarked);
}

}  // namespace ctl::drivers::netlink
