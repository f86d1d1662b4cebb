#include <fmt/format.h>

#include "base/text.h"
#include "model/lowering.h"
#include "model/pool_options.h"
#include "model/pool_sizes.h"
#include "model/value_types.h"

// Pools, volumes, and the disks of containers that are volumes.

namespace ctl::model {

namespace {

/// The directory a pool keeps its volumes in. A pool with a file system of its own is mounted among ours, or a link there
/// leads to it.
std::string pool_path(const Lowering& lowering, std::string_view name) {
    const auto it = lowering.pools.find(name);
    const resource::StoragePool* pool = it != lowering.pools.end() ? it->second : nullptr;
    const Value* source = pool != nullptr && pool->driver.text == "dir" ? find_value(pool->config, "source") : nullptr;
    if (source != nullptr) return absolute_path(*source, lowering.layout);
    return fmt::format("{}/pools/{}", lowering.layout.state_dir, name);
}

std::string pool_source(const Lowering& lowering, const resource::StoragePool& pool) {
    if (pool.driver.text == "dir") return pool_path(lowering, pool.name.text);
    const Value* source = find_value(pool.config, "source");
    if (pool.driver.text == "ceph") return pool_options(pool).at("ceph.osd.pool_name");
    if (source != nullptr && has_named_source(pool)) return source->text;
    if (source != nullptr) return absolute_path(*source, lowering.layout);
    return fmt::format("{}/disks/{}.img", lowering.layout.state_dir, pool.name.text);
}

/// A volume's own key, or what the pool says for all volumes.
const Value* volume_value(const Lowering& lowering, const Value* own, std::string_view pool, std::string_view key) {
    if (own != nullptr) return own;
    const auto it = lowering.pools.find(pool);
    return it != lowering.pools.end() ? find_value(it->second->config, fmt::format("volume.{}", key)) : nullptr;
}

void lower_size(const Lowering& lowering, const Value* own, std::string_view pool, Volume& volume, Entry& entry) {
    const Value* size = volume_value(lowering, own, pool, "size");
    const auto bytes = size != nullptr ? parse_size(size->text) : std::nullopt;
    if (bytes && *bytes != 0) volume.size = *bytes;
    if (size != nullptr) entry.places["size"] = size->where;
    const auto declared = lowering.pools.find(pool);
    if (declared != lowering.pools.end() && has_block_volumes(*declared->second))
        volume.size = whole_extents(volume.size.value_or(default_block_volume));
}

bool is_unmapped(const Lowering& lowering, const resource::Volume& volume) {
    const Value* value =
        volume_value(lowering, find_value(volume.config, "security.unmapped"), volume.pool.text, "security.unmapped");
    return value != nullptr && parse_bool(value->text).value_or(false);
}

const resource::Volume* find_volume(const Lowering& lowering, std::string_view pool, std::string_view name) {
    for (const auto& volume : lowering.stack.volumes)
        if (volume.pool.text == pool && volume.name.text == name) return &volume;
    return nullptr;
}

ObjectId volume_id(std::string_view pool, std::string_view name) {
    return {ObjectKind::volume, fmt::format("{}/custom/{}", pool, name)};
}

}  // namespace

void lower_pool(Lowering& lowering, const resource::StoragePool& pool) {
    Pool object;
    object.driver = pool.driver.text;
    object.source = pool_source(lowering, pool);
    Entry& entry = lowering.add({ObjectKind::pool, pool.name.text}, object,
                                {lowering.stack.name, "StoragePool", pool.name.text}, pool.name.where);
    entry.places["driver"] = pool.driver.where;
    if (const Value* source = find_value(pool.config, "source")) entry.places["source"] = source->where;
    if (!pool.trash.empty()) {
        object.trash = pool.trash.text;
        entry.places["trash"] = pool.trash.where;
        entry.object = object;
    }
    if (pool.driver.text == "dir") return;
    object.mounted = true;
    if (const Value* size = find_value(pool.config, "size")) {
        object.size = parse_size(size->text);
        entry.places["size"] = size->where;
    }
    if (const Value* options = find_value(pool.config, "btrfs.mount_options")) {
        object.mount_options = options->text;
        entry.places["mount_options"] = options->where;
    }
    auto options = pool_options(pool);
    if (bool_value(pool.config, "source.wipe", false)) options.emplace("source.wipe", "true");
    if (!options.empty()) object.options = std::move(options);
    entry.object = std::move(object);
}

void lower_volume(Lowering& lowering, const resource::Volume& volume) {
    Volume object;
    object.mounted = true;
    const std::string key = fmt::format("{}/{}", volume.pool.text, volume.name.text);
    Entry& entry = lowering.add(volume_id(volume.pool.text, volume.name.text), Volume{},
                                {lowering.stack.name, "Volume", key}, volume.name.where);
    entry.needs = {{{ObjectKind::pool, volume.pool.text}, Bond::order}};
    entry.lifecycle = volume.lifecycle;
    lower_size(lowering, find_value(volume.config, "size"), volume.pool.text, object, entry);
    // Until a container says otherwise, those of most containers: it can then be attached to one that runs.
    object.idmap = is_unmapped(lowering, volume) ? "none" : fmt::format("0:{}:{}", default_first_id, default_id_count);
    entry.object = std::move(object);
}

std::optional<VolumeUse> lower_root(Lowering& lowering, const resource::Container& container, const std::string& idmap,
                                    const SourceSpan& idmap_where) {
    for (const auto& [device_name, device] : container.devices) {
        const Value* path = find_value(device.keys, "path");
        const Value* pool = find_value(device.keys, "pool");
        if (device.type.text != "disk" || path == nullptr || path->text != "/" || pool == nullptr) continue;
        Volume volume;
        volume.image = container.image.text;
        volume.idmap = idmap;
        volume.mounted = true;
        const ObjectId id{ObjectKind::volume, fmt::format("{}/{}", pool->text, container.name.text)};
        Entry& entry = lowering.add(id, Volume{}, {lowering.stack.name, "Container", container.name.text}, device.where);
        entry.needs = {{{ObjectKind::pool, pool->text}, Bond::order},
                       {{ObjectKind::image, container.image.text}, Bond::order}};
        entry.places = {{"image", container.image.where}, {"idmap", idmap_where}};
        lower_size(lowering, find_value(device.keys, "size"), pool->text, volume, entry);
        entry.object = std::move(volume);
        return VolumeUse{id, fmt::format("{}/containers/{}/rootfs", pool_path(lowering, pool->text), container.name.text)};
    }
    return std::nullopt;
}

std::optional<VolumeUse> attach_volume(Lowering& lowering, const resource::Container& container,
                                       const resource::Device& device, const std::string& idmap) {
    const Value* pool = find_value(device.keys, "pool");
    const Value* source = find_value(device.keys, "source");
    if (pool == nullptr || source == nullptr) return std::nullopt;
    const resource::Volume* declared = find_volume(lowering, pool->text, source->text);
    if (declared == nullptr) return std::nullopt;
    const ObjectId id = volume_id(pool->text, source->text);
    const VolumeUse use{id, fmt::format("{}/custom/{}/rootfs", pool_path(lowering, pool->text), source->text)};
    if (is_unmapped(lowering, *declared)) return use;
    const auto [first, is_new] = lowering.volume_users.emplace(id, std::pair{idmap, container.name.text});
    if (is_new) {
        Entry& entry = lowering.desired.at(id);
        std::get<Volume>(entry.object).idmap = idmap;
        entry.places["idmap"] = device.where;
    } else if (first->second.first != idmap) {
        lowering.diagnostics.error("volume-maps",
                                   fmt::format("volume {} can't be seen by container {} with the ids of {} and by "
                                               "container {} with those of {}",
                                               quoted(source->text), quoted(container.name.text), quoted(idmap),
                                               quoted(first->second.second), quoted(first->second.first)),
                                   device.where,
                                   "give both containers the same ids, or set security.unmapped: true on the volume");
    }
    return use;
}

}  // namespace ctl::model
