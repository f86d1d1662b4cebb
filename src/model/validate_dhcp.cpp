#include <algorithm>

#include <fmt/format.h>

#include "base/text.h"
#include "model/dhcp.h"
#include "model/lowering.h"
#include "model/validation.h"

namespace ctl::model {

namespace {

using Family = IpAddress::Family;
using resource::Network;

std::string_view label(Family family) { return family == Family::v4 ? "ipv4" : "ipv6"; }

/// The network's own address of a family where the manifest says which.
std::optional<Cidr> declared_address(const Network& network, Family family) {
    const Value* value = find_value(network.config, fmt::format("{}.address", label(family)));
    const auto cidr = value != nullptr ? Cidr::parse(value->text) : std::nullopt;
    return cidr && cidr->address.family == family ? cidr : std::nullopt;
}

/// One network's DHCP of one family.
class DhcpCheck {
public:
    DhcpCheck(Validation& validation, const Network& network, Family family)
        : validation_(validation), network_(network), family_(family), own_(declared_address(network, family)) {}

    void run() {
        if (const Value* ranges = key("dhcp.ranges")) check_ranges(*ranges);
        if (const Value* gateway = key("dhcp.gateway")) check_gateway(*gateway);
        if (family_ == Family::v6) check_stateful();
    }

private:
    [[nodiscard]] const Value* key(std::string_view name) const {
        return find_value(network_.config, fmt::format("{}.{}", label(family_), name));
    }

    /// Tells why there is no subnet to be inside of, if there is none.
    bool has_subnet(const Value& value, std::string_view what) {
        if (own_) return true;
        const Value* address = key("address");
        if (address != nullptr && address->text != "auto" && address->text != "none") return false;  // told already
        const bool is_none = address != nullptr && address->text == "none";
        validation_.error("dhcp-without-subnet",
                          fmt::format("{} of network {} is in no subnet: {}.address is {}", what, quoted(network_.name.text),
                                      label(family_), is_none ? "none" : "auto"),
                          value.where, fmt::format("write {}.address with its prefix", label(family_)));
        return false;
    }

    void check_ranges(const Value& value) {
        auto ranges = parse_ranges(value.text);
        if (!ranges) {
            validation_.value_error("bad-range", fmt::format("{} is no list of ranges that go upwards", quoted(value.text)),
                                    value.where, "write FIRST-LAST, with commas between several");
            return;
        }
        const bool is_given_out = family_ == Family::v4 || bool_value(network_.config, "ipv6.dhcp.stateful", false);
        if (!ranges->empty() && !is_given_out)
            validation_.error(
                "dhcp-stateless",
                fmt::format("network {} has ipv6.dhcp.ranges, but gives out no IPv6 addresses", quoted(network_.name.text)),
                value.where, "add ipv6.dhcp.stateful: true");
        if (!has_subnet(value, "the range")) return;
        std::sort(ranges->begin(), ranges->end());
        const AddressRange* before = nullptr;
        for (const auto& range : *ranges) {
            const std::string text = fmt::format("{}-{}", range.first.str(), range.last.str());
            if (!own_->contains(range.first) || !own_->contains(range.last))
                validation_.error("range-outside",
                                  fmt::format("range {} is outside subnet {} of network {}", text, own_->network().str(),
                                              quoted(network_.name.text)),
                                  value.where, fmt::format("use addresses inside {}", own_->network().str()));
            else if (before != nullptr && range.first <= before->last)
                validation_.error("range-overlap",
                                  fmt::format("range {} overlaps {}-{}", text, before->first.str(), before->last.str()),
                                  value.where, "let the ranges have no address in common");
            before = &range;
        }
    }

    void check_gateway(const Value& value) {
        const auto gateway = IpAddress::parse(value.text);
        if (!gateway || gateway->family != family_ || !has_subnet(value, "the gateway") || own_->contains(*gateway)) return;
        validation_.error("bad-gateway",
                          fmt::format("gateway {} is outside subnet {} of network {}", value.text, own_->network().str(),
                                      quoted(network_.name.text)),
                          value.where, fmt::format("use an address inside {}", own_->network().str()));
    }

    void check_stateful() {
        const Value* value = key("dhcp.stateful");
        if (value == nullptr || !bool_value(network_.config, "ipv6.dhcp.stateful", false) || !own_) return;
        if (own_->prefix < 64)
            validation_.error("dhcp-prefix",
                              fmt::format("network {} can't give out addresses of {}: the subnet is wider than a /64",
                                          quoted(network_.name.text), own_->network().str()),
                              value->where, fmt::format("write {}.address with a prefix of 64", label(family_)));
    }

    Validation& validation_;
    const Network& network_;
    Family family_;
    std::optional<Cidr> own_;
};

void check_raw(Validation& validation, const Network& network) {
    const Value* raw = find_value(network.config, "raw.dnsmasq");
    if (raw == nullptr) return;
    const bool is_text = std::none_of(raw->text.begin(), raw->text.end(), [](char c) {
        const auto byte = static_cast<unsigned char>(c);
        return (byte < 0x20 && c != '\n' && c != '\t') || byte == 0x7F;
    });
    if (!is_text)
        validation.error("bad-value", "raw.dnsmasq has a control character in it", raw->where,
                         "write plain lines, one option each");
}

}  // namespace

void validate_dhcp(Validation& validation) {
    for (const auto& network : validation.stack.networks) {
        if (network.type.text == "macvlan") continue;
        for (const auto family : {Family::v4, Family::v6}) DhcpCheck(validation, network, family).run();
        check_raw(validation, network);
    }
}

void check_reserved_gateway(Validation& validation, const resource::Device& device, std::string_view family) {
    const Value* gateway = find_value(device.keys, fmt::format("{}.gateway", family));
    const Value* parent = nic_parent(device);
    const Value* nictype = find_value(device.keys, "nictype");
    const Network* network = parent != nullptr ? validation.network(parent->text) : nullptr;
    if (gateway == nullptr || gateway->text == "auto" || network == nullptr) return;
    if (gateway->text != "none" && !IpAddress::parse(gateway->text)) return;
    if (nictype != nullptr && nictype->text != "bridged") return;
    const auto own = declared_address(*network, family == "ipv4" ? Family::v4 : Family::v6);
    if (!own || !gives_addresses(*network, *own)) return;
    const Value* given = find_value(network->config, fmt::format("{}.dhcp.gateway", family));
    if (gateway->text == (given != nullptr ? given->text : own->address.str())) return;
    validation.error("gateway-by-dhcp",
                     fmt::format("{}.gateway {}: network {} gives the address and says the gateway with it", family,
                                 escaped(gateway->text), quoted(network->name.text)),
                     gateway->where,
                     fmt::format("remove it, or set {0}.dhcp.gateway of the network, or {0}.dhcp: false", family));
}

}  // namespace ctl::model
