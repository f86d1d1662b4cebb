#include <fmt/format.h>

#include "base/text.h"
#include "model/lowering.h"
#include "model/open_vswitch.h"
#include "model/tunnels.h"
#include "model/value_types.h"

namespace ctl::model {

namespace {

/// One NIC of one container while it becomes links and routes.
class NicLowering {
public:
    NicLowering(Lowering& lowering, const resource::Container& container, const std::string& device_name,
                const resource::Device& device)
        : lowering_(lowering),
          container_(container),
          device_name_(device_name),
          device_(device),
          owner_{lowering.stack.name, "Container", container.name.text} {
        const Value* name = find_value(device.keys, "name");
        interface_ = name != nullptr ? name->text : device_name;
        id_ = {ObjectKind::link, container.name.text + ":" + interface_};
    }

    /// lxc.network.* settings of raw.lxc, where the device says nothing itself.
    void add_old_settings(const std::map<std::string, std::string>& settings) { old_settings_ = settings; }

    void lower() {
        const std::string type = nic_type();
        Link link;
        link.up = true;
        link.mac = mac();
        link.mtu = mtu();
        link.addresses = addresses();
        link.ipv6 =
            has_family(*link.addresses, IpAddress::Family::v6) || (type == "bridged" && announces_ipv6(lowering_, parent()));
        asks_dhcp_ = link.addresses->empty() || (is_served("ipv4") && !has_family(*link.addresses, IpAddress::Family::v4));
        std::vector<Need> needs{{{ObjectKind::netns, container_.name.text}, Bond::rebuild}};
        if (type == "macvlan") {
            link.type = LinkType::macvlan;
            link.mode = macvlan_mode();
            link.parent = macvlan_parent();
            needs.push_back({{ObjectKind::link, *link.parent}, Bond::rebuild});
            // Its own link may be a macvlan too; the kernel hangs both on the same parent, but only while it exists do we
            // want it.
            needs.push_back({{ObjectKind::link, parent()}, Bond::order});
            note_isolation(*link.parent);
        } else {
            link.type = LinkType::veth;
            link.peer = host_name();
            const bool is_on_ovs = type == "bridged" && network() != nullptr && is_ovs_network(*network());
            lower_host_end(type == "bridged" && !is_on_ovs ? parent() : std::string(), link.mtu);
            if (is_on_ovs) ovs_port_ = lower_ovs_nic(lowering_, *network(), device_, *host_end_, owner_);
            if (ovs_port_) lowering_.desired.at(*ovs_port_).lifecycle.prune = container_.lifecycle.prune;
        }
        Entry& entry = lowering_.add(id_, link, owner_, device_.where);
        entry.needs = std::move(needs);
        entry.places = places_;
        entry.lifecycle.prune = container_.lifecycle.prune;
        lower_gateway("ipv4", "0.0.0.0/0", *link.addresses);
        lower_gateway("ipv6", "::/0", *link.addresses);
        if (network() == nullptr) return;
        std::set<Cidr> all = reserved_;
        all.insert(link.addresses->begin(), link.addresses->end());
        lowering_.attachments[parent()].push_back(
            {&container_, &device_, interface_, *link.mac, host_end_ ? host_end_->name : std::string(), std::move(all)});
        if (type == "bridged" && has_dns_service(lowering_, *network()))
            service_ = ObjectId{ObjectKind::dns_service, parent()};
    }

    [[nodiscard]] const ObjectId& id() const { return id_; }
    [[nodiscard]] std::optional<ObjectId> host_end() const { return host_end_; }
    /// Where the network is one of Open vSwitch: the host end's port.
    [[nodiscard]] std::optional<ObjectId> ovs_port() const { return ovs_port_; }
    [[nodiscard]] const std::string& interface() const { return interface_; }
    /// What gives its network addresses and names.
    [[nodiscard]] std::optional<ObjectId> service() const { return service_; }
    [[nodiscard]] bool asks_dhcp() const { return asks_dhcp_; }

private:
    [[nodiscard]] const Value* key(std::string_view name) const { return find_value(device_.keys, name); }

    /// A setting of the device, or the old lxc.network.* line for it.
    [[nodiscard]] std::optional<Value> setting(std::string_view device_key, const std::string& old_key) const {
        if (const Value* value = key(device_key)) return *value;
        if (const auto it = old_settings_.find(old_key); it != old_settings_.end()) {
            const auto raw = container_.config.find("raw.lxc");
            return Value{it->second, raw != container_.config.end() ? raw->second.value.where : device_.where};
        }
        return std::nullopt;
    }

    [[nodiscard]] const resource::Network* network() const {
        const auto it = lowering_.networks.find(parent());
        return it != lowering_.networks.end() ? it->second : nullptr;
    }

    /// The link the NIC hangs on: a declared network or an interface of the host.
    [[nodiscard]] std::string parent() const {
        const Value* value = key("network");
        if (value == nullptr) value = key("parent");
        return value != nullptr ? value->text : std::string();
    }

    [[nodiscard]] std::string nic_type() const {
        if (const Value* type = key("nictype")) return type->text;
        return network() != nullptr && network()->type.text == "macvlan" ? "macvlan" : "bridged";
    }

    [[nodiscard]] std::string mac() {
        if (const auto value = setting("hwaddr", "hwaddr")) {
            places_["mac"] = value->where;
            if (const auto parsed = parse_mac(value->text)) return *parsed;
        }
        return lowering_.allocator.mac(fmt::format("mac/{}/{}", container_.name.text, device_name_));
    }

    [[nodiscard]] std::optional<std::int64_t> mtu() {
        std::optional<Value> value = setting("mtu", "mtu");
        if (!value && network() != nullptr) {
            const Value* inherited = find_value(network()->config, network()->type.text == "macvlan" ? "mtu" : "bridge.mtu");
            if (inherited != nullptr) value = *inherited;
            else if (network()->type.text != "macvlan") return bridge_mtu(*network());
        }
        if (!value) return std::nullopt;
        places_["mtu"] = value->where;
        return parse_mtu(value->text);
    }

    /// An address without a prefix is in its network's subnet.
    [[nodiscard]] std::optional<Cidr> completed(const Value& value) {
        if (const auto cidr = Cidr::parse(value.text)) return cidr;
        const auto address = IpAddress::parse(value.text);
        if (!address) return std::nullopt;
        for (const auto& own : lowering_.network_addresses[parent()])
            if (own.contains(*address)) return Cidr{*address, own.prefix};
        lowering_.diagnostics.error(
            "address-without-prefix",
            fmt::format("address {} has no prefix and its network is not declared with a subnet here", value.text),
            value.where, fmt::format("write {}/{}", value.text, address->family == IpAddress::Family::v4 ? 24 : 64));
        return std::nullopt;
    }

    [[nodiscard]] std::set<Cidr> addresses() {
        std::set<Cidr> result;
        for (const std::string family : {"ipv4", "ipv6"}) {
            const auto value = setting(family + ".address", family);
            if (!value || value->text == "none" || value->text == "auto") continue;
            places_["addresses"] = value->where;
            // raw.lxc's lines are about the inside of the container; a device's key is about its place on the network.
            const bool is_reserved = key(family + ".address") != nullptr && is_served(family);
            if (const auto cidr = completed(*value)) (is_reserved ? reserved_ : result).insert(*cidr);
        }
        return result;
    }

    /// Whether the network gives it an address of the family.
    [[nodiscard]] bool is_served(std::string_view family) const {
        return nic_type() == "bridged" && network() != nullptr && serves_dhcp(lowering_, parent(), family);
    }

    [[nodiscard]] std::string macvlan_mode() const {
        const Value* mode = network() != nullptr ? find_value(network()->config, "mode") : nullptr;
        return mode != nullptr ? mode->text : "bridge";
    }

    /// The kernel hangs a macvlan on a macvlan's own parent and shows that one; so we name it at once.
    [[nodiscard]] std::string macvlan_parent() {
        std::string link = parent();
        if (const Value* value = key("parent")) places_["parent"] = value->where;
        // The bound keeps a cycle, which validation reports, from turning round for ever.
        for (std::size_t hops = 0; hops <= lowering_.networks.size(); ++hops) {
            const auto it = lowering_.networks.find(link);
            if (it == lowering_.networks.end() || it->second->type.text != "macvlan") return link;
            const Value* next = find_value(it->second->config, "parent");
            if (next == nullptr) return link;
            link = next->text;
        }
        return link;
    }

    void note_isolation(const std::string& lower_link) {
        for (const auto& [name, network] : lowering_.networks) {
            const Value* network_parent = find_value(network->config, "parent");
            if (network->type.text == "macvlan" && network_parent != nullptr && network_parent->text == lower_link) return;
        }
        lowering_.diagnostics.note(
            "macvlan-isolation",
            fmt::format("the host itself can't reach {} on {}: macvlan keeps a parent and its children apart",
                        container_.name.text, lower_link),
            device_.where, fmt::format("declare a network of type macvlan on {} to give the host a way in", lower_link));
    }

    [[nodiscard]] std::string host_name() {
        if (const Value* name = key("host_name")) {
            places_["peer"] = name->where;
            return name->text;
        }
        return lowering_.allocator.interface_name(fmt::format("veth/{}/{}", container_.name.text, device_name_));
    }

    void lower_host_end(const std::string& bridge, std::optional<std::int64_t> mtu) {
        Link link;
        link.type = LinkType::veth;
        link.peer = id_.name;
        link.up = true;
        link.ipv6 = false;
        link.mtu = mtu;
        if (!bridge.empty()) link.master = bridge;
        if (!bridge.empty() && bool_value(device_.keys, "security.port_isolation", false)) link.isolated = true;
        host_end_ = ObjectId{ObjectKind::link, host_name()};
        Entry& entry = lowering_.add(*host_end_, link, owner_, device_.where);
        entry.needs = {{id_, Bond::rebuild}};
        if (!bridge.empty()) entry.needs.push_back({{ObjectKind::link, bridge}, Bond::reapply});
        if (const Value* value = key("parent")) entry.places["master"] = value->where;
        if (const Value* value = key("security.port_isolation")) entry.places["isolated"] = value->where;
        entry.lifecycle.prune = container_.lifecycle.prune;
    }

    void lower_gateway(const std::string& family, const std::string& destination, const std::set<Cidr>& own) {
        const auto version = family == "ipv4" ? IpAddress::Family::v4 : IpAddress::Family::v6;
        // Who gives the address says the gateway with it.
        if (is_served(family) && !has_family(own, version)) return;
        const auto value = setting(family + ".gateway", family + ".gateway");
        std::optional<IpAddress> gateway;
        if (value && value->text != "auto") {
            gateway = IpAddress::parse(value->text);
        } else {
            gateway = default_gateway(version, own);
        }
        if (!gateway) return;
        Entry& entry = lowering_.add({ObjectKind::route, container_.name.text + ":" + destination},
                                     Route{.via = gateway->str(), .dev = interface_}, owner_, device_.where);
        entry.needs = {{id_, Bond::rebuild}};
        if (value) entry.places["via"] = value->where;
        entry.lifecycle.prune = container_.lifecycle.prune;
    }

    /// What DHCP would have said: the bridge's own address, if the NIC is in its subnet and it routes.
    [[nodiscard]] std::optional<IpAddress> default_gateway(IpAddress::Family family, const std::set<Cidr>& own) const {
        if (network() == nullptr || network()->type.text == "macvlan") return std::nullopt;
        if (!bool_value(network()->config, family == IpAddress::Family::v4 ? "ipv4.routing" : "ipv6.routing", true))
            return std::nullopt;
        const auto bridge = lowering_.network_addresses.find(parent());
        if (bridge == lowering_.network_addresses.end()) return std::nullopt;
        for (const auto& theirs : bridge->second)
            for (const auto& ours : own)
                if (ours.address.family == family && theirs.contains(ours.address)) return theirs.address;
        return std::nullopt;
    }

    Lowering& lowering_;
    const resource::Container& container_;
    const std::string& device_name_;
    const resource::Device& device_;
    ResourceRef owner_;
    std::string interface_;
    ObjectId id_;
    std::optional<ObjectId> host_end_;
    std::optional<ObjectId> ovs_port_;
    std::map<std::string, std::string> old_settings_;
    std::map<std::string, SourceSpan> places_;
    std::set<Cidr> reserved_;  ///< what its network's DHCP gives it
    std::optional<ObjectId> service_;
    bool asks_dhcp_ = false;
};

}  // namespace

LoweredNics lower_nics(Lowering& lowering, const resource::Container& container,
                       const std::map<std::string, std::string>& old_settings) {
    LoweredNics result;
    std::vector<NicLowering> nics;
    for (const auto& [name, device] : container.devices)
        if (device.type.text == "nic") nics.emplace_back(lowering, container, name, device);
    if (!old_settings.empty() && nics.size() != 1) {
        lowering.diagnostics.error(
            "raw-lxc",
            fmt::format("raw.lxc sets lxc.network keys, but container {} has {} NICs; they can only mean one",
                        container.name.text, nics.size()),
            container.config.find("raw.lxc")->second.value.where, "write the settings as keys of the nic device");
    }
    for (auto& nic : nics) {
        if (nics.size() == 1) nic.add_old_settings(old_settings);
        nic.lower();
        result.links.push_back(nic.id());
        if (nic.host_end()) result.links.push_back(*nic.host_end());
        if (nic.ovs_port()) result.links.push_back(*nic.ovs_port());
        if (nic.service()) result.links.push_back(*nic.service());
        if (nic.asks_dhcp()) result.by_dhcp.push_back(nic.interface());
    }
    return result;
}

}  // namespace ctl::model
