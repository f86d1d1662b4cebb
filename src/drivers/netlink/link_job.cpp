#include "drivers/netlink/link_job.h"

#include <fmt/format.h>

#include "drivers/api/mark.h"
#include "drivers/netlink/names.h"

namespace ctl::drivers::netlink {

namespace {

using diff::Change;
using diff::FieldChange;
using diff::Verb;
using model::Link;

constexpr std::int64_t default_mtu = 1500;

/// What a field that nobody mentions any more goes back to. Some have nothing to go back to: they stay.
void set_default(Link& link, std::string_view name) {
    if (name == "mtu") link.mtu = default_mtu;
    if (name == "master") link.master = "";
    if (name == "isolated") link.isolated = false;
    if (name == "send_limit") link.send_limit = 0;
    if (name == "receive_limit") link.receive_limit = 0;
    if (name == "ipv6") link.ipv6 = true;
    if (name == "tx_checksum") link.tx_checksum = true;
    if (name == "ttl") link.ttl = 0;
}

Link wanted_fields(const Change& change, const Link* desired) {
    Link wanted;
    for (const FieldChange& field : change.fields) {
        if (!field.to) {
            set_default(wanted, field.name);
            continue;
        }
        model::Object object = wanted;
        if (model::set_field(object, field.name, field.to)) wanted = std::get<Link>(object);
    }
    const bool touches_addresses =
        std::any_of(change.fields.begin(), change.fields.end(), [](const auto& f) { return f.name == "addresses"; });
    // Members that others put there are already merged into the object, not always into the field.
    if (touches_addresses && desired != nullptr && desired->addresses) wanted.addresses = desired->addresses;
    return wanted;
}

Status check_texts(const Link& link) {
    if (link.mac && !mac_bytes(*link.mac)) return Error(ErrorCode::invalid, fmt::format("{} is no MAC address", *link.mac));
    for (const auto& text : {link.local, link.remote})
        if (text && !model::IpAddress::parse(*text))
            return Error(ErrorCode::invalid, fmt::format("{} is no address", *text));
    if (link.type == model::LinkType::veth && link.peer) return check_link_name(model::ScopedName::parse(*link.peer));
    return ok();
}

}  // namespace

std::string LinkJob::doing() const {
    const std::string id = change->id.str();
    switch (change->verb) {
        case Verb::create: return "creating " + id;
        case Verb::remove: return "deleting " + id;
        case Verb::adopt: return "adopting " + id;
        case Verb::forget: return "forgetting " + id;
        case Verb::update:
        case Verb::replace:
        case Verb::stop: break;
    }
    return "changing " + id;
}

LinkJob make_link_job(std::size_t index, const Change& change) {
    LinkJob job;
    job.index = index;
    job.change = &change;
    job.where = model::ScopedName::parse(change.id.name);
    if (auto named = check_link_name(job.where); !named) job.fail(std::move(named).error());
    const Link* desired = change.desired ? std::get_if<Link>(&change.desired->object) : nullptr;
    job.borrowed =
        (change.desired && change.desired->borrowed) || (desired != nullptr && !desired->type && !desired->hardware);
    job.removes = change.verb == Verb::remove;
    if (job.removes) return job;
    if (change.verb == Verb::forget) {
        job.wanted = wanted_fields(change, nullptr);
        if (!change.observed || !change.observed->borrowed) job.mark = "";
    } else if (desired == nullptr) {
        job.fail(Error(ErrorCode::internal, "the change does not say what the link shall be"));
        return job;
    } else if (change.verb == Verb::create || (change.verb == Verb::update && change.fields.empty())) {
        job.wanted = *desired;
    } else {
        job.wanted = wanted_fields(change, desired);
    }
    job.births = change.verb == Verb::create && !job.borrowed;
    if (desired != nullptr && (!job.borrowed || (change.verb == Verb::adopt && !change.desired->borrowed)))
        job.mark = make_mark(change.desired->owner, change.id);
    job.drops_our_addresses =
        !job.wanted.addresses && std::any_of(change.fields.begin(), change.fields.end(),
                                             [](const auto& f) { return f.name == "addresses" && !f.to; });
    if (auto checked = check_texts(job.wanted); !checked) job.fail(std::move(checked).error());
    return job;
}

}  // namespace ctl::drivers::netlink
