#include "model/lower.h"

#include <algorithm>
#include <filesystem>

#include <fmt/format.h>

#include "model/fan.h"
#include "model/lowering.h"
#include "model/resolve.h"
#include "model/value_types.h"

namespace ctl::model {

Entry& Lowering::add(ObjectId id, Object object, const ResourceRef& owner, const SourceSpan& where) {
    Entry entry;
    entry.object = std::move(object);
    entry.owner = owner;
    entry.where = where;
    return desired.insert_or_assign(std::move(id), std::move(entry)).first->second;
}

bool bool_value(const Config& config, std::string_view key, bool otherwise) {
    const Value* value = find_value(config, key);
    return value != nullptr ? parse_bool(value->text).value_or(otherwise) : otherwise;
}

std::string interface_sysctl(std::string_view family, std::string_view interface, std::string_view key) {
    std::string escaped_name(interface);
    std::replace(escaped_name.begin(), escaped_name.end(), '.', '/');
    return fmt::format("net.{}.conf.{}.{}", family, escaped_name, key);
}

std::string absolute_path(const Value& path, const HostLayout& layout) {
    std::filesystem::path base = layout.working_dir;
    if (path.where.file != nullptr) base /= std::filesystem::path(*path.where.file).parent_path();
    return (base / path.text).lexically_normal().native();
}

Lowered lower(const resource::Stack& stack, const Allocations& known, const HostLayout& layout, const Allocations& taken) {
    resource::Stack resolved = resolve(stack);
    for (auto& network : resolved.networks) fill_defaults(network, layout);
    for (auto& network : resolved.networks) fill_fan(network, resolved, layout);
    Lowering lowering{resolved, layout, Allocator(known, taken, layout.machine_id), {}, {}, {}};
    for (const auto& network : resolved.networks) lowering.networks.emplace(network.name.text, &network);
    for (const auto& pool : resolved.storage_pools) lowering.pools.emplace(pool.name.text, &pool);
    for (const auto& image : resolved.images) lowering.images.emplace(image.name.text, &image);

    // Through the maps, by name: the order of the file must not decide who chooses an allocation first.
    for (const auto& [name, pool] : lowering.pools) lower_pool(lowering, *pool);
    for (const auto& [name, image] : lowering.images) lower_image(lowering, *image);
    for (const auto& volume : resolved.volumes) lower_volume(lowering, volume);
    for (const auto& [name, network] : lowering.networks) lower_network(lowering, *network);
    std::map<std::string_view, const resource::Container*> containers;
    for (const auto& container : resolved.containers) containers.emplace(container.name.text, &container);
    for (const auto& [name, container] : containers) lower_container(lowering, *container);
    for (const auto& [name, network] : lowering.networks) lower_network_services(lowering, *network);

    for (auto& [id, entry] : lowering.desired) {
        std::sort(entry.needs.begin(), entry.needs.end());
        entry.needs.erase(std::unique(entry.needs.begin(), entry.needs.end()), entry.needs.end());
    }
    return {std::move(lowering.desired), std::move(lowering.followed), lowering.allocator.used(),
            std::move(lowering.diagnostics), lowering.asks_for_addresses};
}

}  // namespace ctl::model
