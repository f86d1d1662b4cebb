#include <fmt/format.h>

#include "base/text.h"
#include "model/open_vswitch.h"
#include "model/tunnels.h"
#include "model/validation.h"
#include "model/value_types.h"

namespace ctl::model {

namespace {

using resource::Network;

bool is_group(const IpAddress& address) {
    const bool is_v4 = address.family == IpAddress::Family::v4;
    return Cidr::parse(is_v4 ? "224.0.0.0/4" : "ff00::/8")->contains(address);
}

class TunnelChecks {
public:
    TunnelChecks(Validation& validation, const Network& network, const Tunnel& tunnel)
        : validation_(validation), network_(network), tunnel_(tunnel), name_(quoted(tunnel.name)) {}

    void run() {
        check_name();
        if (tunnel_.protocol == nullptr)
            return fault("missing-protocol", "has no protocol", tunnel_.where,
                         fmt::format("add tunnel.{}.protocol: vxlan or gre", escaped(tunnel_.name)));
        const bool is_gre = tunnel_.protocol->text == "gre";
        check_number(tunnel_.id, "id", is_gre ? 0xFFFF'FFFF : 0xFF'FFFF);
        check_number(tunnel_.port, "port", 65535);
        check_number(tunnel_.ttl, "ttl", 255);
        if (is_gre) check_gre();
        else check_vxlan();
    }

private:
    void fault(std::string_view rule, std::string_view what, const SourceSpan& where, const std::string& hint) {
        validation_.error(rule, fmt::format("tunnel {} of network {} {}", name_, quoted(network_.name.text), what), where,
                          hint);
    }

    void check_name() {
        if (!is_interface_name(tunnel_.interface))
            fault("tunnel-name", fmt::format("can't have the interface {}", quoted(tunnel_.interface)), tunnel_.where,
                  "the names of network and tunnel have 14 characters at most together: letters, digits, - and _");
        else if (validation_.network(tunnel_.interface) != nullptr)
            fault("tunnel-name", fmt::format("has the interface {}, which is a network", quoted(tunnel_.interface)),
                  tunnel_.where, "give the tunnel another name");
    }

    void check_number(const Value* value, std::string_view key, std::int64_t most) {
        if (value != nullptr && !parse_uint(value->text, most))
            validation_.value_error("bad-value",
                                    fmt::format("{} {} of tunnel {} is too big", key, quoted(value->text), name_),
                                    value->where, fmt::format("write a number from 0 to {}", most));
    }

    void refuse(const Value* value, std::string_view key, std::string_view why) {
        if (value != nullptr) fault("tunnel-key", fmt::format("has {}, which {}", key, why), value->where, "remove it");
    }

    void check_ends() {
        for (const auto& [value, key, other] :
             {std::tuple{tunnel_.local, "remote", tunnel_.remote}, {tunnel_.remote, "local", tunnel_.local}}) {
            if (value != nullptr && other == nullptr)
                fault("tunnel-ends", fmt::format("has no {} address", key), value->where,
                      fmt::format("add tunnel.{}.{}", escaped(tunnel_.name), key));
        }
        if (tunnel_.local == nullptr || tunnel_.remote == nullptr) return;
        const auto local = IpAddress::parse(tunnel_.local->text);
        const auto remote = IpAddress::parse(tunnel_.remote->text);
        if (!local || !remote) return;
        if (local->family != remote->family)
            fault("tunnel-ends", "has ends of different families", tunnel_.remote->where,
                  "use two IPv4 or two IPv6 addresses");
        else if (*local == *remote)
            fault("tunnel-ends", "has the same address at both ends", tunnel_.remote->where,
                  "name the other host as remote");
        if (is_group(*remote))
            fault("tunnel-ends", "has a group as remote address", tunnel_.remote->where,
                  fmt::format("use tunnel.{}.group without local and remote", escaped(tunnel_.name)));
    }

    void check_gre() {
        if (tunnel_.local == nullptr && tunnel_.remote == nullptr)
            fault("tunnel-ends", "has no ends", tunnel_.protocol->where,
                  fmt::format("add tunnel.{0}.local and tunnel.{0}.remote", escaped(tunnel_.name)));
        check_ends();
        refuse(tunnel_.group, "group", "only vxlan has");
        refuse(tunnel_.device, "interface", "only vxlan by multicast has");
        refuse(tunnel_.port, "port", "only vxlan has");
        const auto local = tunnel_.local != nullptr ? IpAddress::parse(tunnel_.local->text) : std::nullopt;
        if (local && local->family == IpAddress::Family::v6 && !is_ovs_network(network_))
            fault("tunnel-ends", "has IPv6 ends, which gre on a native bridge has not", tunnel_.local->where,
                  "use IPv4 addresses, vxlan, or bridge.driver: openvswitch");
    }

    void check_vxlan() {
        if (!tunnel_.is_multicast()) {
            check_ends();
            refuse(tunnel_.group, "group", "goes without local and remote");
            refuse(tunnel_.device, "interface", "goes without local and remote");
            return;
        }
        if (tunnel_.device == nullptr)
            fault("tunnel-ends", "has neither ends nor an interface for its group", tunnel_.protocol->where,
                  fmt::format("add tunnel.{0}.interface, or tunnel.{0}.local and .remote", escaped(tunnel_.name)));
        const auto group = tunnel_.group != nullptr ? IpAddress::parse(tunnel_.group->text) : std::nullopt;
        if (group && !is_group(*group))
            fault("tunnel-ends", fmt::format("has {} as its group, which is none", group->str()), tunnel_.group->where,
                  "write for instance 239.0.0.1");
    }

    Validation& validation_;
    const Network& network_;
    const Tunnel& tunnel_;
    const std::string name_;
};

}  // namespace

void validate_tunnels(Validation& validation) {
    std::map<std::string, std::string> seen;
    for (const auto& network : validation.stack.networks) {
        if (network.type.text == "macvlan") continue;
        for (const Tunnel& tunnel : tunnels_of(network)) {
            TunnelChecks(validation, network, tunnel).run();
            const auto text = [](const Value* value) { return value != nullptr ? value->text : std::string(); };
            const std::string key = fmt::format("{} {} {} {} {}", text(tunnel.protocol), text(tunnel.local),
                                                text(tunnel.remote), text(tunnel.id), text(tunnel.port));
            const auto [first, is_new] = seen.emplace(key, tunnel.interface);
            if (!is_new)
                validation.error(
                    "tunnel-twice",
                    fmt::format("tunnel {} has the ends and the id of {}", quoted(tunnel.interface), quoted(first->second)),
                    tunnel.where, "give one of them another id");
        }
    }
}

}  // namespace ctl::model
