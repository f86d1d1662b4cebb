#include "support/fake_host.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

namespace ctl::test {

using diff::Change;
using diff::FieldChange;
using diff::Verb;
using model::Container;
using model::ContainerState;
using model::Effect;
using model::Entry;
using model::Link;
using model::LinkType;
using model::Mark;
using model::Object;
using model::ObjectId;
using model::ObjectKind;
using model::ScopedName;

namespace {

Error refused(const ObjectId& id, std::string_view why) { return {ErrorCode::io, fmt::format("{}: {}", id.str(), why)}; }

bool is_running(const Object& object) {
    const auto* container = std::get_if<Container>(&object);
    return container != nullptr && container->state && *container->state != ContainerState::stopped;
}

std::array<ObjectId, 2> sysctls_of(const std::string& link) {
    return {ObjectId{ObjectKind::sysctl, "net.ipv4.conf." + link + ".forwarding"},
            ObjectId{ObjectKind::sysctl, "net.ipv6.conf." + link + ".forwarding"}};
}

/// What a new thing has where nothing was asked for.
Object born(const Object& wanted) {
    Object object = wanted;
    if (auto* link = std::get_if<Link>(&object)) {
        if (!link->mtu) link->mtu = 1500;
        if (!link->mac) link->mac = "00:16:3e:00:00:01";
        if (!link->master) link->master = "";
        if (!link->up) link->up = false;
        if (!link->ipv6) link->ipv6 = true;
        if (!link->tx_checksum) link->tx_checksum = true;
        if (!link->addresses) link->addresses.emplace();
    }
    if (auto* container = std::get_if<Container>(&object); container != nullptr && !container->state)
        container->state = ContainerState::stopped;
    return object;
}

std::optional<model::FieldValue> default_of(ObjectKind kind, std::string_view field) {
    if (kind == ObjectKind::sysctl) return std::string("0");
    if (kind != ObjectKind::link) return std::nullopt;
    const Object fresh = born(Link{});
    for (auto& view : model::fields_of(fresh))
        if (view.name == field) return view.value;
    return std::nullopt;
}

}  // namespace

FakeHost::FakeHost() : info_{"fake", "a host in memory", {}} {
    for (const auto& [kind, name] : model::EnumNames<ObjectKind>::names) info_.kinds.insert(kind);
    for (const char* name : {"net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"}) {
        Entry entry;
        entry.object = model::Sysctl{.value = "0"};
        things_.emplace(ObjectId{ObjectKind::sysctl, name}, std::move(entry));
    }
}

model::HostState FakeHost::seen() const {
    model::HostState state = things_;
    for (auto& [id, entry] : state) {
        entry.needs.clear();
        auto* link = std::get_if<Link>(&entry.object);
        if (link == nullptr) continue;
        // Only told of containers' ends.
        if (link->type != LinkType::veth || model::ScopedName::parse(id.name).netns.empty()) link->tx_checksum.reset();
        // A flag of the port, which comes and goes with the bridge, not of the link.
        if (link->master.value_or("").empty()) link->isolated.reset();
        else link->isolated = link->isolated.value_or(false);
    }
    return state;
}

void FakeHost::add_foreign(const ObjectId& id, Object object) {
    Entry entry;
    entry.object = born(object);
    things_.insert_or_assign(id, std::move(entry));
    add_sysctl(id);
}

void FakeHost::set(const ObjectId& id, std::string_view field, const model::FieldValue& value) {
    static_cast<void>(model::set_field(things_.at(id).object, field, value));
}

void FakeHost::vanish(const ObjectId& id) { erase(id); }

void FakeHost::fail_at(std::size_t n, bool half_made) {
    fail_in_ = n;
    half_made_ = half_made;
}

Result<model::HostState> FakeHost::observe(const drivers::Interest& interest, std::stop_token) {
    model::HostState state = seen();
    std::erase_if(state, [&](const auto& item) {
        const bool is_listed = interest.all && item.first.kind != ObjectKind::sysctl;
        return !is_listed && !interest.ids.contains(item.first);
    });
    return state;
}

std::vector<Error> FakeHost::preflight(std::span<const Change>) { return {}; }

void FakeHost::apply(std::span<const Change> changes, const drivers::Report& report, std::stop_token stop) {
    for (std::size_t i = 0; i < changes.size(); ++i)
        report(i, stop.stop_requested() ? Status(Error(ErrorCode::cancelled, "interrupted")) : run(changes[i]));
}

Status FakeHost::run(const Change& change) {
    ran_.push_back(fmt::format("{} {}", to_string(change.verb), change.id.str()));
    if (fail_in_ && (*fail_in_)-- == 0) {
        fail_in_.reset();
        if (half_made_ && change.verb == Verb::create && create(change)) {
            things_.at(change.id).mark = Mark::begun;
            things_.at(change.id).owner = {};
        }
        return refused(change.id, "fails as told");
    }
    switch (change.verb) {
        case Verb::create: return create(change);
        case Verb::update:
        case Verb::adopt: return update(change);
        case Verb::remove: return remove(change.id);
        case Verb::forget: return forget(change);
        case Verb::stop: return stop(change.id);
        case Verb::replace: break;
    }
    return refused(change.id, "drivers never see a replace");
}

Status FakeHost::create(const Change& change) {
    const Entry& desired = *change.desired;
    if (change.id.kind == ObjectKind::sysctl) return refused(change.id, "nobody makes sysctls");
    const auto there = things_.find(change.id);
    if (there == things_.end()) return make(change.id, desired);
    if (there->second.mark == Mark::none) return refused(change.id, "file exists");
    CTL_TRY(check_ground(change.id, desired));
    Entry& thing = there->second;
    for (const auto& view : model::fields_of(desired.object)) {
        if (!view.value) continue;
        const auto now = model::fields_of(thing.object);
        const auto same = std::find_if(now.begin(), now.end(), [&](const auto& v) { return v.name == view.name; });
        if (view.effect >= Effect::replace && same->value != view.value)
            return refused(change.id, "file exists, and is another");
        static_cast<void>(model::set_field(thing.object, view.name, view.value));
    }
    thing.mark = Mark::complete;
    thing.owner = desired.owner;
    thing.needs = desired.needs;
    return ok();
}

Status FakeHost::make(const ObjectId& id, const Entry& desired) {
    CTL_TRY(check_ground(id, desired));
    if (const auto* link = std::get_if<Link>(&desired.object); link != nullptr && link->type == LinkType::veth)
        CTL_TRY(make_peer(id, *link));
    Entry thing;
    thing.object = born(desired.object);
    thing.owner = desired.owner;
    thing.mark = Mark::complete;
    thing.needs = desired.needs;
    things_.emplace(id, std::move(thing));
    add_sysctl(id);
    return ok();
}

Status FakeHost::make_peer(const ObjectId& id, const Link& link) {
    if (!link.peer) return refused(id, "a veth needs a peer");
    const ObjectId other{ObjectKind::link, *link.peer};
    const ScopedName name = ScopedName::parse(other.name);
    if (!name.netns.empty()) CTL_TRY(require({ObjectKind::netns, name.netns}, id));
    if (has(other)) return refused(other, "file exists");
    Link end;
    end.type = LinkType::veth;
    end.peer = id.name;
    Entry thing;
    thing.object = born(end);
    thing.mark = Mark::begun;
    things_.emplace(other, std::move(thing));
    add_sysctl(other);
    return ok();
}

Status FakeHost::update(const Change& change) {
    const auto there = things_.find(change.id);
    if (there == things_.end()) return refused(change.id, "no such thing");
    const Entry& desired = *change.desired;
    if (!desired.borrowed && there->second.mark == Mark::none) return refused(change.id, "not ours");
    Entry changed = there->second;
    CTL_TRY(set_fields(changed, change));
    if (!desired.borrowed) {
        changed.needs = desired.needs;
        changed.owner = desired.owner;
        changed.mark = Mark::complete;
    }
    CTL_TRY(check_ground(change.id, changed));
    there->second = std::move(changed);
    return ok();
}

Status FakeHost::set_fields(Entry& thing, const Change& change) {
    std::vector<FieldChange> fields = change.fields;
    if (fields.empty()) {
        for (const auto& view : model::fields_of(change.desired->object))
            if (view.value)
                fields.push_back({std::string(view.name), std::nullopt, view.value, view.effect, diff::Cause::changed, {}});
    }
    const bool was_running = is_running(thing.object);
    for (const auto& view : model::fields_of(thing.object)) {
        for (const auto& field : fields) {
            if (field.name != view.name) continue;
            const auto to = field.to ? field.to : default_of(change.id.kind, field.name);
            if (to == view.value) continue;
            if (view.effect >= Effect::replace) return refused(change.id, fmt::format("{} can't be changed", field.name));
            // Stored only: what runs goes on with the old value.
            if (view.effect == Effect::restart && was_running && change.deferred) continue;
            if (view.effect == Effect::restart && (was_running || is_in_use(change.id)))
                return refused(change.id, fmt::format("{} can't be changed while it runs", field.name));
            static_cast<void>(model::set_field(thing.object, field.name, to));
        }
    }
    return ok();
}

Status FakeHost::remove(const ObjectId& id) {
    const auto there = things_.find(id);
    if (there == things_.end()) return ok();
    if (there->second.mark == Mark::none) return refused(id, "not ours");
    CTL_TRY(check_removable(id));
    erase(id);
    return ok();
}

Status FakeHost::check_removable(const ObjectId& id) const {
    if (is_running(things_.at(id).object)) return refused(id, "it runs");
    if (is_in_use(id)) return refused(id, "a running container uses it");
    if (id.kind != ObjectKind::pool) return ok();
    for (const auto& [other, entry] : things_)
        if (other.kind == ObjectKind::volume && other.name.starts_with(id.name + "/")) return refused(id, "it is not empty");
    return ok();
}

Status FakeHost::forget(const Change& change) {
    const auto there = things_.find(change.id);
    if (there == things_.end()) return ok();
    CTL_TRY(set_fields(there->second, [&] {
        Change with_desired = change;
        with_desired.desired =
            Entry{.object = model::make_object(change.id.kind), .needs = {}, .owner = {}, .where = {}, .lifecycle = {}};
        return with_desired;
    }()));
    there->second.mark = Mark::none;
    there->second.owner = {};
    return ok();
}

Status FakeHost::stop(const ObjectId& id) {
    const auto there = things_.find(id);
    auto* container = there != things_.end() ? std::get_if<Container>(&there->second.object) : nullptr;
    if (container == nullptr) return refused(id, "no such container");
    container->state = ContainerState::stopped;
    return ok();
}

Status FakeHost::require(const ObjectId& id, const ObjectId& by) const {
    if (!has(id)) return refused(by, fmt::format("needs {}, which is not there", id.str()));
    return ok();
}

Status FakeHost::check_ground(const ObjectId& id, const Entry& entry) const {
    const ScopedName name = ScopedName::parse(id.name);
    if (const auto* link = std::get_if<Link>(&entry.object)) return check_link(name, *link);
    if (const auto* route = std::get_if<model::Route>(&entry.object)) {
        if (!name.netns.empty()) CTL_TRY(require({ObjectKind::netns, name.netns}, id));
        if (route->dev) CTL_TRY(require({ObjectKind::link, ScopedName{name.netns, *route->dev}.str()}, id));
    }
    if (const auto* volume = std::get_if<model::Volume>(&entry.object)) {
        CTL_TRY(require({ObjectKind::pool, id.name.substr(0, id.name.find('/'))}, id));
        if (!has(id) && volume->image) CTL_TRY(require({ObjectKind::image, *volume->image}, id));
    }
    if (is_running(entry.object)) {
        for (const auto& need : entry.needs)
            if (need.bond == model::Bond::restart || need.id.kind == ObjectKind::link) CTL_TRY(require(need.id, id));
    }
    return ok();
}

Status FakeHost::check_link(const ScopedName& name, const Link& link) const {
    const ObjectId id{ObjectKind::link, name.str()};
    if (!name.netns.empty()) CTL_TRY(require({ObjectKind::netns, name.netns}, id));
    if (link.parent && !link.parent->empty()) CTL_TRY(require({ObjectKind::link, *link.parent}, id));
    if (!link.master || link.master->empty()) return ok();
    if (has({ObjectKind::ovs_bridge, *link.master})) return ok();
    const auto master = things_.find({ObjectKind::link, *link.master});
    const auto* bridge = master != things_.end() ? std::get_if<Link>(&master->second.object) : nullptr;
    if (bridge == nullptr || bridge->type != LinkType::bridge) return refused(id, *link.master + " is no bridge");
    return ok();
}

bool FakeHost::is_in_use(const ObjectId& id) const {
    if (id.kind != ObjectKind::volume && id.kind != ObjectKind::netns) return false;
    return std::any_of(things_.begin(), things_.end(), [&](const auto& item) {
        if (!is_running(item.second.object)) return false;
        const auto& needs = item.second.needs;
        return std::any_of(needs.begin(), needs.end(), [&](const auto& need) { return need.id == id; });
    });
}

void FakeHost::erase(const ObjectId& id) {
    const auto there = things_.find(id);
    if (there == things_.end()) return;
    const Entry gone = std::move(there->second);
    things_.erase(there);
    if (const auto* link = std::get_if<Link>(&gone.object)) erase_link(id, *link);
    if (id.kind == ObjectKind::ovs_bridge) free_ports(id.name);
    if (id.kind != ObjectKind::netns) return;
    std::vector<ObjectId> inside;
    for (const auto& [other, entry] : things_) {
        const bool is_scoped = other.kind == ObjectKind::link || other.kind == ObjectKind::route;
        if (is_scoped && ScopedName::parse(other.name).netns == id.name) inside.push_back(other);
    }
    for (const auto& other : inside) erase(other);
}

void FakeHost::erase_link(const ObjectId& id, const Link& link) {
    const ScopedName name = ScopedName::parse(id.name);
    if (link.type == LinkType::veth && link.peer) erase({ObjectKind::link, *link.peer});
    std::vector<ObjectId> with_it;
    for (const auto& [other, entry] : things_) {
        const auto* child = std::get_if<Link>(&entry.object);
        const auto* route = std::get_if<model::Route>(&entry.object);
        if (child != nullptr && name.netns.empty() && child->parent == name.name) with_it.push_back(other);
        if (route != nullptr && route->dev == name.name && ScopedName::parse(other.name).netns == name.netns)
            with_it.push_back(other);
    }
    for (const auto& other : with_it) erase(other);
    if (!name.netns.empty()) return;
    free_ports(name.name);
    for (const auto& sysctl : sysctls_of(name.name)) things_.erase(sysctl);
}

void FakeHost::free_ports(const std::string& master) {
    for (auto& [other, entry] : things_)
        if (auto* port = std::get_if<Link>(&entry.object); port != nullptr && port->master == master) port->master = "";
}

void FakeHost::add_sysctl(const ObjectId& link) {
    if (link.kind != ObjectKind::link || link.name.find(':') != std::string::npos) return;
    Entry entry;
    entry.object = model::Sysctl{.value = "0"};
    for (auto& sysctl : sysctls_of(link.name)) things_.emplace(std::move(sysctl), entry);
}

}  // namespace ctl::test
