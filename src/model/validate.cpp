#include "model/validate.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "base/text.h"
#include "model/validation.h"
#include "model/value_types.h"

namespace ctl::model {

namespace {

template <typename T>
std::map<std::string_view, const T*> index_of(const std::vector<T>& things) {
    std::map<std::string_view, const T*> index;
    for (const auto& thing : things)
        if (!thing.name.empty()) index.emplace(thing.name.text, &thing);
    return index;
}

}  // namespace

Validation::Validation(const resource::Stack& examined, Diagnostics& diagnostics)
    : stack(examined),
      networks(index_of(examined.networks)),
      acls(index_of(examined.network_acls)),
      pools(index_of(examined.storage_pools)),
      images(index_of(examined.images)),
      profiles(index_of(examined.profiles)),
      containers(index_of(examined.containers)),
      diagnostics_(diagnostics) {
    for (const auto& image : examined.images)
        if (image.aliases)
            for (const auto& alias : *image.aliases) images.emplace(alias.text, &image);
    for (const auto& volume : examined.volumes)
        if (!volume.name.empty()) volumes.emplace(volume.pool.text + "/" + volume.name.text, &volume);
    for (const auto& diagnostic : diagnostics.all())
        if (diagnostic.severity == Severity::error && diagnostic.where.is_known())
            schema_faults_.insert(place_of(diagnostic.where));
}

Validation::Place Validation::place_of(const SourceSpan& where) {
    return {where.file != nullptr ? *where.file : std::string(), where.line, where.column};
}

void Validation::error(std::string_view rule, const std::string& message, const SourceSpan& where, const std::string& hint) {
    if (told_.emplace(place_of(where), std::string(rule), message).second)
        diagnostics_.error(std::string(rule), message, where, hint);
}

void Validation::value_error(std::string_view rule, const std::string& message, const SourceSpan& where,
                             const std::string& hint) {
    if (!schema_faults_.contains(place_of(where))) error(rule, message, where, hint);
}

std::string Validation::suggestion(std::string_view name, const std::vector<std::string_view>& known,
                                   const std::string& otherwise) {
    // Comparing with every name costs; a manifest with more slips than this is not helped by hints.
    if (suggestions_left_ == 0) return otherwise;
    --suggestions_left_;
    const std::string_view near = nearest(name, known);
    return near.empty() ? otherwise : fmt::format("did you mean {}?", escaped(near));
}

const resource::Network* Validation::network(std::string_view name) const {
    const auto found = networks.find(name);
    return found != networks.end() ? found->second : nullptr;
}

std::string_view Validation::segment(std::string_view link) const {
    for (std::size_t hops = 0; hops <= networks.size(); ++hops) {
        const resource::Network* declared = network(link);
        const Value* parent = declared != nullptr ? find_value(declared->config, "parent") : nullptr;
        if (parent == nullptr || declared->type.text != "macvlan") return link;
        // A VLAN of an interface is a segment of its own, named by whoever declares it first.
        if (find_value(declared->config, "vlan") != nullptr) return link;
        link = parent->text;
    }
    return link;
}

std::vector<std::vector<NamedEdge>> find_cycles(const std::vector<NamedEdge>& edges) {
    std::multimap<std::string_view, const NamedEdge*> outgoing;
    std::multimap<std::string_view, std::string_view> users;
    std::map<std::string_view, std::size_t> open;  // edges to names that may still be on a cycle
    for (const auto& edge : edges) {
        outgoing.emplace(edge.from, &edge);
        users.emplace(edge.to, edge.from);
        ++open[edge.from];
        open.try_emplace(edge.to, 0);
    }
    std::vector<std::string_view> ends;
    for (const auto& [name, count] : open)
        if (count == 0) ends.push_back(name);
    std::set<std::string_view> clear;
    while (!ends.empty()) {
        const std::string_view end = ends.back();
        ends.pop_back();
        clear.insert(end);
        for (auto [it, last] = users.equal_range(end); it != last; ++it)
            if (--open[it->second] == 0) ends.push_back(it->second);
    }

    std::vector<std::vector<NamedEdge>> cycles;
    std::set<std::string_view> walked;
    for (const auto& [start, count] : open) {
        std::vector<NamedEdge> path;
        std::map<std::string_view, std::size_t> position;
        std::string_view at = start;
        while (!clear.contains(at) && !walked.contains(at) && position.try_emplace(at, path.size()).second) {
            auto [it, last] = outgoing.equal_range(at);
            it = std::find_if(it, last, [&](const auto& edge) { return !clear.contains(edge.second->to); });
            path.push_back(*it->second);
            at = it->second->to;
        }
        if (const auto first = position.find(at); first != position.end() && !walked.contains(at))
            cycles.emplace_back(path.begin() + static_cast<std::ptrdiff_t>(first->second), path.end());
        for (const auto& [name, index] : position) walked.insert(name);
    }
    return cycles;
}

std::string cycle_text(const std::vector<NamedEdge>& cycle) {
    constexpr std::size_t most = 100;
    std::string text;
    for (std::size_t i = 0; i < std::min(cycle.size(), most); ++i)
        text += fmt::format("{} ({}) -> ", escaped(cycle[i].from), cycle[i].where.str());
    if (cycle.size() > most) text += fmt::format("{} more -> ", cycle.size() - most);
    return text + escaped(cycle.front().from);
}

namespace {

void check_name(Validation& validation, bool is_good, std::string_view kind, const Value& name, std::string_view rule) {
    if (is_good || name.empty()) return;
    validation.value_error("bad-name", fmt::format("{} can't be the name of a {}", quoted(name.text), kind), name.where,
                           fmt::format("use {}", rule));
}

template <typename T>
void check_duplicates(Validation& validation, const std::vector<T>& things, std::string_view kind) {
    std::map<std::string_view, const T*> seen;
    for (const auto& thing : things) {
        if (thing.name.empty()) continue;
        const auto [first, is_new] = seen.emplace(thing.name.text, &thing);
        if (is_new) continue;
        validation.error("duplicate-name",
                         fmt::format("{} {} is declared twice, first at {}", kind, quoted(thing.name.text),
                                     first->second->name.where.str()),
                         thing.name.where, "rename or remove one of them");
    }
}

constexpr std::string_view interface_rule =
    "2 to 15 letters, digits, dashes, dots or underscores, beginning with a letter or digit, and not a name of the kernel's";
constexpr std::string_view resource_rule =
    "1 to 63 letters, digits, dots, dashes or underscores, beginning with a letter or digit";

SourceSpan file_of_first_resource(const resource::Stack& stack) {
    const auto file = [](const auto& things) { return things.empty() ? nullptr : things.front().name.where.file; };
    for (const auto& name :
         {file(stack.containers), file(stack.networks), file(stack.storage_pools), file(stack.profiles), file(stack.images)})
        if (name != nullptr) return {name};
    return {};
}

template <typename T>
void check_device_names(Validation& validation, const std::vector<T>& things) {
    for (const auto& thing : things)
        for (const auto& [name, device] : thing.devices)
            check_name(validation, is_device_name(name), "device", Value{name, device.where},
                       "1 to 63 letters, digits, dots, dashes, colons, slashes or underscores, not beginning with a dot");
}

}  // namespace

void validate_names(Validation& validation) {
    const resource::Stack& stack = validation.stack;
    if (!stack.empty() && !is_resource_name(stack.name))
        validation.value_error("bad-name", fmt::format("{} can't be the name of a stack", quoted(stack.name)),
                               file_of_first_resource(stack), fmt::format("write stack: NAME with {}", resource_rule));
    for (const auto& network : stack.networks)
        check_name(validation, is_interface_name(network.name.text) && network.name.text != "lo", "network", network.name,
                   interface_rule);
    for (const auto& acl : stack.network_acls)
        check_name(validation, is_resource_name(acl.name.text), "network ACL", acl.name, resource_rule);
    for (const auto& pool : stack.storage_pools)
        check_name(validation, is_resource_name(pool.name.text), "storage pool", pool.name, resource_rule);
    for (const auto& volume : stack.volumes)
        check_name(validation, is_resource_name(volume.name.text), "volume", volume.name, resource_rule);
    for (const auto& image : stack.images)
        check_name(validation, is_resource_name(image.name.text), "image", image.name, resource_rule);
    for (const auto& profile : stack.profiles)
        check_name(validation, is_profile_name(profile.name.text), "profile", profile.name, resource_rule);
    for (const auto& container : stack.containers)
        check_name(validation, is_instance_name(container.name.text), "container", container.name,
                   "1 to 63 letters, digits and dashes, beginning with a letter and not ending with a dash");
    check_device_names(validation, stack.profiles);
    check_device_names(validation, stack.containers);
    check_duplicates(validation, stack.networks, "network");
    check_duplicates(validation, stack.network_acls, "network ACL");
    check_duplicates(validation, stack.storage_pools, "storage pool");
    check_duplicates(validation, stack.images, "image");
    check_duplicates(validation, stack.profiles, "profile");
    check_duplicates(validation, stack.containers, "container");
}

namespace {

/// True when a document is missing or has holes: what refers to it would be called unknown.
bool is_incomplete(const Diagnostics& diagnostics) {
    constexpr std::array<std::string_view, 9> rules{"unreadable",  "bad-byte",   "yaml-syntax", "yaml-depth", "yaml-size",
                                                    "yaml-faults", "yaml-alias", "yaml-key",    "yaml-merge"};
    return std::any_of(diagnostics.all().begin(), diagnostics.all().end(), [&](const Diagnostic& diagnostic) {
        return std::find(rules.begin(), rules.end(), diagnostic.rule) != rules.end();
    });
}

}  // namespace

void validate(const resource::Stack& stack, Diagnostics& diagnostics) {
    if (is_incomplete(diagnostics)) return;
    Validation validation(stack, diagnostics);
    validate_names(validation);
    validate_networks(validation);
    validate_dhcp(validation);
    validate_open_vswitch(validation);
    validate_tunnels(validation);
    validate_fans(validation);
    validate_interface_owners(validation);
    validate_network_firewalls(validation);
    validate_acls(validation);
    validate_forwards(validation);
    validate_images(validation);
    validate_pools(validation);
    validate_volumes(validation);
    validate_containers(validation);
}

}  // namespace ctl::model
