#include "reconcile/rebuilt_needs.h"

#include <algorithm>

namespace ctl::reconcile {

namespace {

using model::ObjectId;
using model::ObjectKind;

/// "web" of "web:eth0", "default" of "default/web".
std::string_view before(std::string_view name, char separator) { return name.substr(0, name.find(separator)); }

bool is_inside(const ObjectId& id, std::string_view container) {
    return id.name.find(':') != std::string::npos && before(id.name, ':') == container;
}

/// Whether a container has the custom volume POOL/custom/NAME mounted, by where such volumes are. One of that name in
/// another pool is taken for it too: it is then deleted later than it has to be.
bool is_mounted(const model::Entry& container, const ObjectId& volume) {
    const auto& mounts = std::get<model::Container>(container.object).mounts;
    const std::string place = volume.name.substr(volume.name.find('/')) + "/rootfs";
    return mounts && place.starts_with("/custom/") && std::any_of(mounts->begin(), mounts->end(), [&](const auto& mount) {
               return mount.second.find(place) != std::string::npos;
           });
}

bool stands_on(const ObjectId& id, const model::Entry& entry, const ObjectId& other, const model::Entry& other_entry) {
    switch (id.kind) {
        case ObjectKind::container:
            return (other.kind == ObjectKind::netns && other.name == id.name) ||
                   (other.kind == ObjectKind::link && is_inside(other, id.name)) ||
                   (other.kind == ObjectKind::volume && (other_entry.owner == entry.owner || is_mounted(entry, other)));
        case ObjectKind::proxy:
        case ObjectKind::readiness: return other.kind == ObjectKind::container && is_inside(id, other.name);
        case ObjectKind::link: return other.kind == ObjectKind::netns && is_inside(id, other.name);
        case ObjectKind::volume:
            if (other.kind == ObjectKind::pool) return before(id.name, '/') == other.name;
            return other.kind == ObjectKind::image && std::get<model::Volume>(entry.object).image == other.name;
        case ObjectKind::ovs_port:
            return other.kind == ObjectKind::ovs_bridge && std::get<model::OvsPort>(entry.object).bridge == other.name;
        default: return false;
    }
}

}  // namespace

std::vector<model::Need> rebuilt_needs(const ObjectId& id, const model::Entry& entry, const model::HostState& state) {
    std::vector<model::Need> needs;
    for (const auto& [other, other_entry] : state)
        if (stands_on(id, entry, other, other_entry)) needs.push_back({other, model::Bond::order});
    return needs;
}

}  // namespace ctl::reconcile
