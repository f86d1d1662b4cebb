#include "drivers/ovs/rows.h"

#include <net/if.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "drivers/api/mark.h"
#include "model/value_types.h"

namespace ctl::drivers::ovs {

namespace {

using model::Entry;
using model::ObjectId;
using model::ObjectKind;
using model::OvsBridge;
using model::OvsPort;

constexpr std::string_view kernel_datapath = "system";  // the database also says "" for it, and for plain ports

std::optional<std::string> text_of(const char* text) {
    return text != nullptr && *text != '\0' ? std::optional<std::string>(text) : std::nullopt;
}

std::optional<std::int64_t> positive(std::int64_t number) { return number > 0 ? std::optional(number) : std::nullopt; }

const char* c_str(const std::optional<std::string>& text) { return text ? text->c_str() : nullptr; }

void set_owner(Entry& entry, const char* mark, const ObjectId& id) {
    const auto owner = mark != nullptr ? read_mark(mark, id) : std::nullopt;
    if (!owner) return;
    entry.owner = *owner;
    entry.mark = model::Mark::complete;
}

void add_bridge(Rows& rows, const ctl_ovs_bridge& seen) {
    const ObjectId id{ObjectKind::ovs_bridge, seen.name};
    OvsBridge bridge;
    bridge.datapath = text_of(seen.datapath).value_or(std::string(kernel_datapath));
    if (seen.mac != nullptr) bridge.mac = model::parse_mac(seen.mac);
    bridge.mtu = positive(seen.mtu);
    bridge.controllers.emplace(seen.controllers, seen.controllers + seen.n_controllers);
    std::sort(bridge.controllers->begin(), bridge.controllers->end());
    bridge.fail_mode = text_of(seen.fail_mode);
    Row row;
    row.entry.object = std::move(bridge);
    set_owner(row.entry, seen.mark, id);
    row.error = text_of(seen.error).value_or("");
    row.ofport = seen.ofport;
    rows.insert_or_assign(id, std::move(row));
}

void add_port(Rows& rows, const ctl_ovs_port& seen) {
    const ObjectId id{ObjectKind::ovs_port, seen.name};
    OvsPort port;
    port.bridge = seen.bridge;
    port.type = text_of(seen.type).value_or(std::string(kernel_datapath));
    port.options.emplace();
    for (std::size_t i = 0; i < seen.n_options; ++i) port.options->emplace(seen.option_names[i], seen.option_values[i]);
    if (seen.tag >= 0) port.tag = seen.tag;
    std::vector<std::int64_t> trunks(seen.trunks, seen.trunks + seen.n_trunks);
    std::sort(trunks.begin(), trunks.end());
    port.trunks.emplace();
    for (const auto vlan : trunks) port.trunks->push_back(std::to_string(vlan));
    port.vlan_mode = text_of(seen.vlan_mode);
    port.isolated = seen.isolated != 0;
    port.fake_bridge = seen.fake_bridge != 0;
    if (seen.mac != nullptr) port.mac = model::parse_mac(seen.mac);
    port.mtu = positive(seen.mtu);
    Row row;
    row.error = text_of(seen.error).value_or("");
    row.ofport = seen.ofport;
    row.ifindex = seen.ifindex;
    const bool is_same_link = port.type != kernel_datapath || row.ifindex == 0 || row.ifindex == link_number(id.name);
    port.plugged = row.ofport > 0 && row.error.empty() && is_same_link;
    row.entry.object = std::move(port);
    set_owner(row.entry, seen.mark, id);
    rows.insert_or_assign(id, std::move(row));
}

struct Column {
    std::string_view field;
    unsigned column;
};
constexpr std::array bridge_columns{Column{"datapath", CTL_OVS_DATAPATH}, Column{"mac", CTL_OVS_MAC},
                                    Column{"mtu", CTL_OVS_MTU}, Column{"controllers", CTL_OVS_CONTROLLERS},
                                    Column{"fail_mode", CTL_OVS_FAIL_MODE}};
constexpr std::array port_columns{Column{"bridge", CTL_OVS_BRIDGE},     Column{"type", CTL_OVS_TYPE},
                                  Column{"options", CTL_OVS_OPTIONS},   Column{"tag", CTL_OVS_TAG},
                                  Column{"trunks", CTL_OVS_TRUNKS},     Column{"vlan_mode", CTL_OVS_VLAN_MODE},
                                  Column{"isolated", CTL_OVS_ISOLATED}, Column{"fake_bridge", CTL_OVS_FAKE_BRIDGE},
                                  Column{"mac", CTL_OVS_MAC},           Column{"mtu", CTL_OVS_MTU}};

template <typename Accept>
unsigned sum(ObjectKind kind, const Accept& accept) {
    unsigned columns = 0;
    const auto add = [&](const auto& table) {
        for (const Column& column : table)
            if (accept(column.field)) columns |= column.column;
    };
    if (kind == ObjectKind::ovs_bridge) add(bridge_columns);
    else add(port_columns);
    return columns;
}

}  // namespace

Rows read_rows(const ctl_ovs* replica) {
    Rows rows;
    ctl_ovs_visit_bridges(
        replica, [](void* all, const ctl_ovs_bridge* bridge) { add_bridge(*static_cast<Rows*>(all), *bridge); }, &rows);
    ctl_ovs_visit_ports(
        replica, [](void* all, const ctl_ovs_port* port) { add_port(*static_cast<Rows*>(all), *port); }, &rows);
    return rows;
}

std::int64_t link_number(const std::string& name) { return ::if_nametoindex(name.c_str()); }

BridgeRow::BridgeRow(const std::string& name, const OvsBridge& bridge, const std::string& mark) {
    if (bridge.controllers)
        for (const auto& target : *bridge.controllers) controllers_.push_back(target.c_str());
    row_.name = name.c_str();
    row_.datapath = c_str(bridge.datapath);
    row_.mac = c_str(bridge.mac);
    row_.fail_mode = c_str(bridge.fail_mode);
    row_.mark = mark.c_str();
    row_.controllers = controllers_.data();
    row_.n_controllers = controllers_.size();
    row_.mtu = bridge.mtu.value_or(0);
}

PortRow::PortRow(const std::string& name, const OvsPort& port, const std::string& mark, std::int64_t ifindex) {
    if (port.options) {
        for (const auto& [option, value] : *port.options) {
            option_names_.push_back(option.c_str());
            option_values_.push_back(value.c_str());
        }
    }
    if (port.trunks) {
        for (const auto& text : *port.trunks) {
            std::int64_t vlan = 0;
            std::from_chars(text.data(), text.data() + text.size(), vlan);
            trunks_.push_back(vlan);
        }
    }
    row_.name = name.c_str();
    row_.bridge = c_str(port.bridge);
    row_.type = port.type == kernel_datapath ? "" : c_str(port.type);
    row_.vlan_mode = c_str(port.vlan_mode);
    row_.mac = c_str(port.mac);
    row_.mark = mark.c_str();
    row_.option_names = option_names_.data();
    row_.option_values = option_values_.data();
    row_.n_options = option_names_.size();
    row_.trunks = trunks_.data();
    row_.n_trunks = trunks_.size();
    row_.tag = port.tag.value_or(-1);
    row_.mtu = port.mtu.value_or(0);
    row_.ifindex = ifindex;
    row_.isolated = port.isolated.value_or(false) ? 1 : 0;
    row_.fake_bridge = port.fake_bridge.value_or(false) ? 1 : 0;
}

unsigned columns_of(ObjectKind kind, const std::vector<std::string_view>& fields) {
    return sum(kind, [&](std::string_view field) { return std::find(fields.begin(), fields.end(), field) != fields.end(); });
}

unsigned all_columns(ObjectKind kind) {
    return sum(kind, [](std::string_view) { return true; });
}

}  // namespace ctl::drivers::ovs
