#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "model/dhcp.h"
#include "model/lowering.h"
#include "model/value_types.h"

namespace ctl::model {

namespace {

using Family = IpAddress::Family;

constexpr std::int64_t usual_mtu = 1500;
constexpr std::string_view usual_expiry = "1h";
constexpr std::string_view usual_domain = "lxd";

/// The address `steps` above a subnet's first.
IpAddress host_of(const Cidr& subnet, std::uint8_t steps) {
    IpAddress address = subnet.network().address;
    auto& byte = address.bytes[address.bits() / 8 - 1];
    byte = static_cast<std::uint8_t>(byte + steps);
    return address;
}

/// All of the subnet but its first two addresses (its own and by custom the router's) and, of IPv4, the broadcast address.
AddressRange usual_range(const Cidr& own) {
    IpAddress last = own.last();
    if (own.address.family == Family::v4) --last.bytes[3];
    return {host_of(own, 2), last};
}

/// One network's settings, as lines of dnsmasq's configuration.
class DnsLowering {
public:
    DnsLowering(Lowering& lowering, const resource::Network& network)
        : lowering_(lowering),
          network_(network),
          name_(network.name.text),
          v4_(own_address(lowering, name_, Family::v4)),
          v6_(own_address(lowering, name_, Family::v6)),
          mode_(dns_mode(network)) {}

    void lower() {
        add_addresses();
        if (gives4()) add_dhcp4();
        if (v6_ && announces_prefix(network_, *v6_)) add_dhcp6();
        add_dns();
        add_raw();
        DnsService service;
        service.options = std::move(lines_);
        service.reservations = reservations();
        service.records = records();
        service.running = true;
        Entry& entry = lowering_.add({ObjectKind::dns_service, name_}, std::move(service),
                                     {lowering_.stack.name, "Network", name_}, network_.name.where);
        // With the interface goes what it is bound to; an Open vSwitch link comes and goes with its bridge or port.
        for (const auto kind : {ObjectKind::link, ObjectKind::ovs_bridge, ObjectKind::ovs_port})
            if (lowering_.desired.contains({kind, name_})) entry.needs.push_back({{kind, name_}, Bond::reapply});
        entry.places = std::move(places_);
    }

private:
    [[nodiscard]] const Value* key(std::string_view name) {
        const Value* value = find_value(network_.config, name);
        if (value != nullptr) places_["options"] = value->where;
        return value;
    }

    [[nodiscard]] std::string text(std::string_view name, std::string_view otherwise) {
        const Value* value = key(name);
        return value != nullptr ? value->text : std::string(otherwise);
    }
    [[nodiscard]] bool gives4() const { return v4_ && gives_addresses(network_, *v4_); }
    [[nodiscard]] bool gives6() const { return v6_ && gives_addresses(network_, *v6_); }
    void line(std::string text) { lines_.push_back(std::move(text)); }

    void add_addresses() {
        for (const auto& own : {v4_, v6_})
            if (own) line("listen-address=" + own->address.str());
    }

    [[nodiscard]] std::vector<AddressRange> ranges(std::string_view ranges_key, const Cidr& own) {
        const Value* value = key(ranges_key);
        auto given = value != nullptr ? parse_ranges(value->text) : std::nullopt;
        return given && !given->empty() ? std::move(*given) : std::vector{usual_range(own)};
    }

    void add_dhcp4() {
        const std::string expiry = text("ipv4.dhcp.expiry", usual_expiry);
        for (const auto& range : ranges("ipv4.dhcp.ranges", *v4_))
            line(fmt::format("dhcp-range={},{},{}", range.first.str(), range.last.str(), expiry));
        if (const Value* gateway = key("ipv4.dhcp.gateway")) line("dhcp-option-force=3," + gateway->text);
        // Told of no gateway where the bridge does not route.
        else if (!bool_value(network_.config, "ipv4.routing", true)) line("dhcp-option=3");
        if (const auto mtu = network_mtu(); mtu && *mtu != usual_mtu) line(fmt::format("dhcp-option-force=26,{}", *mtu));
        if (const Value* search = key("dns.search")) line("dhcp-option-force=119," + search_list(*search));
    }

    void add_dhcp6() {
        line("enable-ra");
        if (gives6()) {
            const std::string expiry = text("ipv6.dhcp.expiry", usual_expiry);
            for (const auto& range : ranges("ipv6.dhcp.ranges", *v6_))
                line(fmt::format("dhcp-range={},{},{},{}", range.first.str(), range.last.str(), v6_->prefix, expiry));
        } else if (!bool_value(network_.config, "ipv6.dhcp", true)) {
            line(fmt::format("dhcp-range=::,constructor:{},ra-only", name_));
        } else {
            // Hosts of both families get a name for the address that they chose themselves, too.
            line(fmt::format("dhcp-range=::,constructor:{},ra-stateless{}", name_,
                             mode_ == DnsMode::none ? "" : ",ra-names"));
        }
        if (!bool_value(network_.config, "ipv6.routing", true)) line(fmt::format("ra-param={},0,0", name_));
        if (const Value* search = key("dns.search")) line("dhcp-option=option6:domain-search," + search_list(*search));
    }

    void add_dns() {
        if (const Value* mode = find_value(network_.config, "dns.mode")) places_["options"] = mode->where;
        if (mode_ != DnsMode::dynamic) line("dhcp-ignore-names");
        if (mode_ == DnsMode::none) return;
        const std::string name = domain();
        line("domain=" + name);
        line(fmt::format("local=/{}/", name));
        line(fmt::format("interface-name=_gateway.{},{}", name, name_));
    }

    void add_raw() {
        const Value* raw = key("raw.dnsmasq");
        if (raw == nullptr) return;
        for (const auto text : split(raw->text, '\n'))
            if (const auto option = trimmed(text); !option.empty()) line(std::string(option));
    }

    [[nodiscard]] std::string domain() { return text("dns.domain", usual_domain); }

    static std::string search_list(const Value& value) {
        std::string text;
        for (const auto member : parse_list(value.text)) text += (text.empty() ? "" : ",") + std::string(member);
        return text;
    }

    [[nodiscard]] std::optional<std::int64_t> network_mtu() const {
        const auto link = lowering_.desired.find({ObjectKind::link, name_});
        return link != lowering_.desired.end() ? std::get<Link>(link->second.object).mtu : std::nullopt;
    }

    /// A NIC's name among the service's lines: "web:eth0".
    static std::string nic(const Attachment& attachment) {
        return ScopedName{attachment.container->name.text, attachment.interface}.str();
    }

    /// A container's name goes with its first NIC on the network: two addresses of one name would take turns.
    [[nodiscard]] bool bears_name(const Attachment& attachment) const {
        if (mode_ != DnsMode::managed) return false;
        for (const auto& other : attachments())
            if (other.container == attachment.container) return &other == &attachment;
        return false;
    }

    [[nodiscard]] const std::vector<Attachment>& attachments() const {
        static const std::vector<Attachment> none;
        const auto found = lowering_.attachments.find(name_);
        return found != lowering_.attachments.end() ? found->second : none;
    }

    /// Every NIC has a line, if only with its MAC: that the line goes says that the NIC has gone.
    [[nodiscard]] std::map<std::string, std::string> reservations() const {
        std::map<std::string, std::string> result;
        if (!gives4() && !gives6()) return result;
        for (const auto& attachment : attachments()) {
            std::string text = attachment.mac;
            for (const auto& cidr : attachment.addresses) {
                if (cidr.address.family == Family::v4 && gives4()) text += "," + cidr.address.str();
                if (cidr.address.family == Family::v6 && gives6()) text += ",[" + cidr.address.str() + "]";
            }
            if (bears_name(attachment)) text += "," + attachment.container->name.text;
            result.emplace(nic(attachment), std::move(text));
        }
        return result;
    }

    /// Addresses that are set inside the containers never come by here: their names would not be known.
    [[nodiscard]] std::map<std::string, std::string> records() {
        std::map<std::string, std::string> result;
        for (const auto& attachment : attachments()) {
            if (!bears_name(attachment)) continue;
            for (const auto& cidr : attachment.addresses) {
                const bool is_v4 = cidr.address.family == Family::v4;
                if (is_v4 ? gives4() : gives6()) continue;
                const std::string& container = attachment.container->name.text;
                result.emplace(fmt::format("{}:{}", nic(attachment), is_v4 ? "ipv4" : "ipv6"),
                               fmt::format("{} {}.{} {}", cidr.address.str(), container, domain(), container));
            }
        }
        return result;
    }

    Lowering& lowering_;
    const resource::Network& network_;
    const std::string& name_;
    std::optional<Cidr> v4_;
    std::optional<Cidr> v6_;
    DnsMode mode_;
    std::vector<std::string> lines_;
    std::map<std::string, SourceSpan> places_;
};

/// Whether a person asks for names on a network that gives out no addresses.
bool asks_for_dns(const resource::Network& network) {
    constexpr std::array<std::string_view, 4> keys{"dns.mode", "dns.domain", "dns.search", "raw.dnsmasq"};
    return std::any_of(keys.begin(), keys.end(), [&](std::string_view key) {
        const Value* value = find_value(network.config, key);
        return value != nullptr && (key != "dns.mode" || value->text != "none");
    });
}

}  // namespace

bool has_dns_service(const Lowering& lowering, const resource::Network& network) {
    if (network.type.text == "macvlan") return false;
    const auto v4 = own_address(lowering, network.name.text, Family::v4);
    const auto v6 = own_address(lowering, network.name.text, Family::v6);
    if ((v4 && gives_addresses(network, *v4)) || (v6 && announces_prefix(network, *v6))) return true;
    return (v4 || v6) && asks_for_dns(network);
}

void lower_dns(Lowering& lowering, const resource::Network& network) {
    if (has_dns_service(lowering, network)) DnsLowering(lowering, network).lower();
}

bool serves_dhcp(const Lowering& lowering, std::string_view network, std::string_view family) {
    const auto found = lowering.networks.find(network);
    const auto own = own_address(lowering, network, family == "ipv4" ? Family::v4 : Family::v6);
    return found != lowering.networks.end() && own && gives_addresses(*found->second, *own);
}

bool announces_ipv6(const Lowering& lowering, std::string_view network) {
    const auto found = lowering.networks.find(network);
    const auto own = own_address(lowering, network, Family::v6);
    return found != lowering.networks.end() && own && announces_prefix(*found->second, *own);
}

}  // namespace ctl::model
