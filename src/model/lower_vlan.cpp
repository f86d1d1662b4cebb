#include "model/lowering.h"
#include "model/nic_types.h"
#include "model/value_types.h"

namespace ctl::model {

Entry* lower_vlan(Lowering& lowering, const Config& keys, std::string_view parent, const ResourceRef& owner,
                  const SourceSpan& where) {
    const Value* vlan = find_value(keys, "vlan");
    const auto number = vlan != nullptr ? parse_uint(vlan->text, 4094) : std::nullopt;
    if (!number) return nullptr;
    const ObjectId id{ObjectKind::link, vlan_ground(keys, parent)};
    const bool registers = bool_value(keys, "gvrp", false);
    if (const auto known = lowering.desired.find(id); known != lowering.desired.end()) {
        if (registers) std::get<Link>(known->second.object).gvrp = true;
        return &known->second;
    }
    Link link;
    link.type = LinkType::vlan;
    link.parent = parent;
    link.vlan = *number;
    link.gvrp = registers;
    link.up = true;
    link.ipv6 = false;
    Entry& entry = lowering.add(id, link, owner, where);
    entry.needs = {{{ObjectKind::link, std::string(parent)}, Bond::rebuild}};
    entry.places["vlan"] = vlan->where;
    return &entry;
}

}  // namespace ctl::model
