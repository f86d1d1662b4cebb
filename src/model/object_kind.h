#pragma once

#include <array>
#include <compare>
#include <string>
#include <string_view>
#include <utility>

#include "model/field.h"

// What kinds of objects there are, and how one is named.

namespace ctl::model {

enum class ObjectKind {
    sysctl,
    netns,
    link,
    route,
    neighbour,
    ovs_bridge,
    ovs_port,
    ovs_flows,
    nft_table,
    dns_service,
    pool,
    image,
    volume,
    snapshot,
    container,
    proxy,
    readiness
};

template <>
struct EnumNames<ObjectKind> {
    static constexpr std::array<std::pair<ObjectKind, std::string_view>, 17> names{{
        {ObjectKind::sysctl, "sysctl"},
        {ObjectKind::netns, "netns"},
        {ObjectKind::link, "link"},
        {ObjectKind::route, "route"},
        {ObjectKind::neighbour, "neighbour"},
        {ObjectKind::ovs_bridge, "ovs_bridge"},
        {ObjectKind::ovs_port, "ovs_port"},
        {ObjectKind::ovs_flows, "ovs_flows"},
        {ObjectKind::nft_table, "nft_table"},
        {ObjectKind::dns_service, "dns_service"},
        {ObjectKind::pool, "pool"},
        {ObjectKind::image, "image"},
        {ObjectKind::volume, "volume"},
        {ObjectKind::snapshot, "snapshot"},
        {ObjectKind::container, "container"},
        {ObjectKind::proxy, "proxy"},
        {ObjectKind::readiness, "readiness"},
    }};
};

/// link/ovs-br0. Things inside a container's network namespace carry its name and a colon: link/web:eth0.
/// The total order makes plans deterministic.
struct ObjectId {
    ObjectKind kind = ObjectKind::link;
    std::string name;

    auto operator<=>(const ObjectId&) const = default;

    [[nodiscard]] std::string str() const { return std::string(to_string(kind)) + "/" + name; }
    /// The reverse of str().
    [[nodiscard]] static std::optional<ObjectId> parse(std::string_view text);
};

/// The namespace and the plain name in a link's or route's name: {"web", "eth0"}; {"", "br0"} on the host.
struct ScopedName {
    std::string netns;
    std::string name;

    [[nodiscard]] static ScopedName parse(std::string_view text);
    [[nodiscard]] std::string str() const { return netns.empty() ? name : netns + ":" + name; }
};

}  // namespace ctl::model
