#include <algorithm>

#include <fmt/format.h>

#include "base/text.h"
#include "model/cloud_init.h"
#include "model/nic_types.h"
#include "model/proxy.h"
#include "model/readiness.h"
#include "model/resolve.h"
#include "model/validation.h"
#include "model/value_types.h"

namespace ctl::model {

Uniqueness::Uniqueness(Validation& validation) : validation_(validation) {
    for (const auto& network : validation.stack.networks)
        for (const auto& [cidr, where] : subnets_of(network))
            claims_.emplace(fmt::format("address {} {}", validation.segment(network.name.text), cidr.address.str()),
                            Claim{fmt::format("network {}", quoted(network.name.text)), where});
    for (const auto& network : validation.stack.networks)
        for (const auto family : {"ipv4", "ipv6"})
            add_routes(family, fmt::format("network {}", quoted(network.name.text)), network.config);
}

void Uniqueness::claim(std::string_view rule, const std::string& key, const std::string& what, const std::string& user,
                       const SourceSpan& where) {
    const auto [first, is_new] = claims_.emplace(key, Claim{user, where});
    if (is_new) return;
    validation_.error(
        rule, fmt::format("{} of {} is taken by {} at {}", what, user, first->second.user, first->second.where.str()), where,
        "use another one");
}

void Uniqueness::add_addresses(std::string_view family, const std::string& user, const resource::Device& device) {
    const Value* parent = nic_parent(device);
    // What the host routes to is one to the whole host.
    const bool is_on_segment = parent != nullptr && !is_routed(device);
    const std::string_view segment = is_on_segment ? validation_.segment(parent->text) : std::string_view();
    for (const Cidr& cidr : nic_addresses(validation_, device, family)) {
        const std::string address = cidr.address.str();
        claim("duplicate-address", fmt::format("address {} {}", segment, address), fmt::format("address {}", address), user,
              find_value(device.keys, fmt::format("{}.address", family))->where);
    }
}

void Uniqueness::add_routes(std::string_view family, const std::string& user, const Config& keys) {
    const Value* routes = find_value(keys, fmt::format("{}.routes", family));
    if (routes == nullptr) return;
    for (const auto text : parse_list(routes->text)) {
        const auto cidr = Cidr::parse(text);
        if (cidr && cidr->prefix == 0)
            validation_.error("default-route", fmt::format("{} would be the host's default route to {}", text, user),
                              routes->where, "name the subnets that are behind it");
        else if (cidr)
            claim("duplicate-route", "route " + cidr->network().str(), fmt::format("the route to {}", cidr->network().str()),
                  user, routes->where);
    }
}

void Uniqueness::add_nic(const std::string& user, const resource::Device& device) {
    for (const auto family : {"ipv4", "ipv6"}) {
        add_addresses(family, user, device);
        add_routes(family, user, device.keys);
    }
    if (const Value* value = find_value(device.keys, "hwaddr"))
        if (const auto mac = parse_mac(value->text))
            claim("duplicate-mac", "hwaddr " + *mac, fmt::format("hwaddr {}", *mac), user, value->where);
    if (const Value* value = find_value(device.keys, "host_name"))
        claim("duplicate-host-name", "host_name " + value->text, fmt::format("host_name {}", quoted(value->text)), user,
              value->where);
}

namespace {

using resource::Container;
using resource::Device;

void check_image(Validation& validation, const Container& container) {
    const Value& image = container.image;
    if (image.empty())
        validation.error("missing-image", fmt::format("container {} has no image", quoted(container.name.text)),
                         container.name.where, "add image: NAME, and the image under images");
    else if (!validation.images.contains(image.text))
        validation.error("unknown-image", fmt::format("no image {} is declared", quoted(image.text)), image.where,
                         validation.suggestion(image.text, validation.images, "declare it under images"));
}

void check_profiles(Validation& validation, const Container& container) {
    if (!container.profiles_given) return;
    std::map<std::string_view, const Value*> seen;
    for (const auto& profile : container.profiles) {
        if (!validation.profiles.contains(profile.text))
            validation.error("unknown-profile", fmt::format("no profile {} is declared", quoted(profile.text)),
                             profile.where,
                             validation.suggestion(profile.text, validation.profiles, "declare it under profiles"));
        if (!seen.emplace(profile.text, &profile).second)
            validation.error("duplicate-profile", fmt::format("profile {} is listed twice", quoted(profile.text)),
                             profile.where, "remove one of them");
    }
}

void check_depends_on(Validation& validation, const Container& container, std::vector<NamedEdge>& edges) {
    for (const auto& dependency : container.depends_on) {
        const auto& other = dependency.container;
        validate_readiness(validation, dependency);
        if (!validation.containers.contains(other.text))
            validation.error("unknown-container", fmt::format("no container {} is declared", quoted(other.text)),
                             other.where,
                             validation.suggestion(other.text, validation.containers, "declare it under containers"));
        edges.push_back({container.name.text, other.text, other.where});
    }
}

/// An override needs a device of that name in a profile of the container.
void check_overrides(Validation& validation, const Container& container) {
    std::vector<std::string_view> inherited;
    for (const auto& name : container.profiles)
        if (const auto profile = validation.profiles.find(name.text); profile != validation.profiles.end())
            for (const auto& [device_name, device] : profile->second->devices)
                if (!device.is_override) inherited.emplace_back(device_name);
    for (const auto& [name, device] : container.devices)
        if (device.is_override && std::find(inherited.begin(), inherited.end(), name) == inherited.end())
            validation.error("unknown-device",
                             fmt::format("override of device {}, which no profile of the container has", quoted(name)),
                             device.where, validation.suggestion(name, inherited, "write the whole device, with its type"));
}

void check_root(Validation& validation, const Container& container) {
    const std::string* root = nullptr;
    for (const auto& [name, device] : container.devices) {
        const Value* path = find_value(device.keys, "path");
        if (device.type.text != "disk" || path == nullptr || path->text != "/") continue;
        if (root != nullptr)
            validation.error("two-root-disks",
                             fmt::format("container {} has two root disks: {} at {} and {}", quoted(container.name.text),
                                         quoted(*root), container.devices.find(*root)->second.where.str(), quoted(name)),
                             device.where, fmt::format("mask one of them with {}: {{type: none}}", escaped(name)));
        root = &name;
    }
    if (root == nullptr)
        validation.error("missing-root-disk", fmt::format("container {} has no root disk", quoted(container.name.text)),
                         container.name.where, "add devices: root: {type: disk, path: /, pool: NAME}");
}

/// Paths as the kernel sees them: without doubled or trailing slashes.
std::string normal_path(std::string_view path) {
    std::string normal;
    for (const auto part : split(path, '/'))
        if (!part.empty() && part != ".") normal += fmt::format("/{}", part);
    return normal.empty() ? "/" : normal;
}

/// Where in the container a disk or a device node is put; null for other devices.
const Value* place_of(const Device& device) {
    const bool node = device.type.text == "unix-char" || device.type.text == "unix-block";
    if (!node && device.type.text != "disk") return nullptr;
    const Value* path = find_value(device.keys, "path");
    return path == nullptr && node ? find_value(device.keys, "source") : path;
}

void check_clashes(Validation& validation, const Container& container) {
    std::map<std::string, const std::string*> interfaces;
    std::map<std::string, const std::string*> paths;
    const auto check = [&](auto& seen, std::string_view what, const std::string& key, const std::string& name,
                           const SourceSpan& where) {
        const auto [first, is_new] = seen.emplace(key, &name);
        if (is_new) return;
        validation.error("device-clash",
                         fmt::format("devices {} and {} of container {} have the same {} {}", quoted(*first->second),
                                     quoted(name), quoted(container.name.text), what, quoted(key)),
                         where, fmt::format("give one of them another {}", what));
    };
    for (const auto& [name, device] : container.devices) {
        if (device.type.text == "nic") {
            const Value interface = nic_name(name, device);
            check(interfaces, "name", interface.text, name, interface.where);
        } else if (const Value* path = place_of(device)) {
            if (const std::string normal = normal_path(path->text); normal != "/")
                check(paths, "path", normal, name, path->where);
        }
    }
}

void check_devices(Validation& validation, const resource::Devices& devices) {
    for (const auto& [name, device] : devices) {
        if (device.is_override) continue;
        if (device.type.text == "nic") validate_nic(validation, name, device);
        else if (device.type.text == "disk") validate_disk(validation, name, device);
        else if (device.type.text.starts_with("unix-")) validate_unix_device(validation, name, device);
    }
}

/// Devices that no container completes are checked as they stand in their profile.
void check_unused_profiles(Validation& validation) {
    std::set<std::string_view> used;
    for (const auto& container : validation.stack.containers)
        for (const auto& profile : container.profiles) used.insert(profile.text);
    for (const auto& profile : validation.stack.profiles)
        if (!used.contains(profile.name.text)) check_devices(validation, profile.devices);
}

}  // namespace

void validate_containers(Validation& validation) {
    Uniqueness uniqueness(validation);
    ParentUse parents(validation);
    std::vector<NamedEdge> dependencies;
    const resource::Stack resolved = resolve(validation.stack);
    for (std::size_t i = 0; i < resolved.containers.size(); ++i) {
        const resource::Container& container = resolved.containers[i];
        check_image(validation, container);
        check_profiles(validation, container);
        check_overrides(validation, validation.stack.containers[i]);
        check_root(validation, container);
        validate_cloud_init(validation, container.config);
        check_clashes(validation, container);
        check_devices(validation, container.devices);
        validate_nic_gateways(validation, container);
        check_depends_on(validation, container, dependencies);
        for (const auto& [name, device] : container.devices) {
            if (device.type.text == "proxy" && !device.is_override) validate_proxy(validation, container, name, device);
            if (device.type.text != "nic" || device.is_override) continue;
            const std::string user = fmt::format("device {} of container {}", quoted(name), quoted(container.name.text));
            uniqueness.add_nic(user, device);
            parents.add_nic(user, device);
        }
    }
    check_unused_profiles(validation);
    for (const auto& cycle : find_cycles(dependencies))
        validation.error("cycle", fmt::format("containers wait for each other: {}", cycle_text(cycle)), cycle.front().where,
                         "remove one of these depends_on");
}

}  // namespace ctl::model
