#include <fmt/format.h>

#include "base/text.h"
#include "model/validation.h"
#include "model/value_types.h"

// Rules of custom volumes and of the disks that use them.

namespace ctl::model {

namespace {

std::string volume_key(const Value& pool, const Value& name) { return fmt::format("{}/{}", pool.text, name.text); }

void check_pool(Validation& validation, const resource::Volume& volume) {
    if (volume.pool.empty() || validation.pools.contains(volume.pool.text)) return;
    validation.error("unknown-pool", fmt::format("no storage pool {} is declared", quoted(volume.pool.text)),
                     volume.pool.where,
                     validation.suggestion(volume.pool.text, validation.pools, "declare it under storage_pools"));
}

}  // namespace

void check_volume_size(Validation& validation, const Value& pool, const Value& size) {
    const auto found = validation.pools.find(pool.text);
    if (found == validation.pools.end() || found->second->driver.text != "dir") return;
    if (parse_size(size.text).value_or(0) == 0) return;
    validation.error(
        "size-on-dir",
        fmt::format("pool {} is of the driver dir and can't limit a volume to {}", quoted(pool.text), size.text), size.where,
        "remove size, or use a pool of the driver btrfs");
}

void validate_volumes(Validation& validation) {
    for (const auto& volume : validation.stack.volumes) {
        check_pool(validation, volume);
        if (const Value* size = find_value(volume.config, "size")) check_volume_size(validation, volume.pool, *size);
        const auto first = validation.volumes.find(volume_key(volume.pool, volume.name));
        if (first != validation.volumes.end() && first->second != &volume)
            validation.error("duplicate-name",
                             fmt::format("volume {} of pool {} is declared twice, first at {}", quoted(volume.name.text),
                                         quoted(volume.pool.text), first->second->name.where.str()),
                             volume.name.where, "rename or remove one of them");
    }
}

void validate_volume_disk(Validation& validation, const std::string& device_name, const resource::Device& device) {
    const Value* pool = find_value(device.keys, "pool");
    const Value* source = find_value(device.keys, "source");
    if (source == nullptr) {
        validation.error("missing-source", fmt::format("disk {} has no source", quoted(device_name)), device.where,
                         "add source: the name of a volume in the pool");
        return;
    }
    if (!validation.pools.contains(pool->text) || validation.volumes.contains(volume_key(*pool, *source))) return;
    std::vector<std::string_view> known;
    for (const auto& [key, volume] : validation.volumes)
        if (volume->pool.text == pool->text) known.emplace_back(volume->name.text);
    validation.error("unknown-volume",
                     fmt::format("no volume {} is declared in pool {}", quoted(source->text), quoted(pool->text)),
                     source->where, validation.suggestion(source->text, known, "declare it under volumes"));
}

}  // namespace ctl::model
