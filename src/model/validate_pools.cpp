#include <fmt/format.h>

#include "base/text.h"
#include "model/pool_names.h"
#include "model/pool_options.h"
#include "model/validation.h"
#include "model/value_types.h"

// Rules of storage pools whose volumes tools make.

namespace ctl::model {

namespace {

const SourceSpan& place_of(const resource::StoragePool& pool, std::string_view key) {
    const Value* value = find_value(pool.config, key);
    if (value == nullptr && has_named_source(pool)) value = find_value(pool.config, "source");
    return value != nullptr ? value->where : pool.name.where;
}

void check_lvm(Validation& validation, const resource::StoragePool& pool) {
    const auto options = pool_options(pool);
    for (const auto* key : {"lvm.vg_name", "lvm.thinpool_name"}) {
        const auto found = options.find(key);
        if (found != options.end() && !is_lvm_name(found->second))
            validation.value_error("bad-name", fmt::format("{} can't be a name in lvm", quoted(found->second)),
                                   place_of(pool, key), fmt::format("set {} to letters, digits and any of + _ . -", key));
    }
    const Value* group = find_value(pool.config, "lvm.vg_name");
    const Value* source = find_value(pool.config, "source");
    if (group != nullptr && has_named_source(pool) && group->text != source->text)
        validation.error("two-groups",
                         fmt::format("pool {} is on the volume group {} and can't be called {}", quoted(pool.name.text),
                                     quoted(source->text), quoted(group->text)),
                         group->where, "remove lvm.vg_name");
    if (options.at("lvm.use_thinpool") == "true") return;
    for (const auto* key : {"lvm.thinpool_name", "lvm.thinpool_metadata_size"})
        if (const Value* value = find_value(pool.config, key))
            validation.error("no-thin-pool",
                             fmt::format("pool {} has no thin pool that {} could be of", quoted(pool.name.text), key),
                             value->where, "remove it, or lvm.use_thinpool: false");
}

void check_zfs(Validation& validation, const resource::StoragePool& pool) {
    const std::string name = pool_options(pool).at("zfs.pool_name");
    const bool is_made = !has_named_source(pool);
    if (!is_zfs_name(name) || (is_made && name.find('/') != std::string::npos))
        validation.value_error("bad-name", fmt::format("{} can't be a name in zfs", quoted(name)),
                               place_of(pool, "zfs.pool_name"),
                               "begin zfs.pool_name with a letter; use letters, digits and any of _ . : -");
    const Value* given = find_value(pool.config, "zfs.pool_name");
    const Value* source = find_value(pool.config, "source");
    if (given != nullptr && !is_made && given->text != source->text)
        validation.error("two-groups",
                         fmt::format("pool {} is on {} and can't be called {}", quoted(pool.name.text), quoted(source->text),
                                     quoted(given->text)),
                         given->where, "remove zfs.pool_name");
}

void check_ceph(Validation& validation, const resource::StoragePool& pool) {
    const auto options = pool_options(pool);
    for (const auto* key : {"ceph.osd.pool_name", "ceph.cluster_name", "ceph.user.name", "ceph.osd.data_pool_name"}) {
        const auto found = options.find(key);
        if (found != options.end() && !is_ceph_name(found->second))
            validation.value_error("bad-name", fmt::format("{} can't be a name in ceph", quoted(found->second)),
                                   place_of(pool, key), fmt::format("set {} to letters, digits and any of _ . -", key));
    }
    const auto features = options.find("ceph.rbd.features");
    if (features != options.end() && !is_feature_list(features->second))
        validation.value_error("bad-name", fmt::format("{} is no list of features", quoted(features->second)),
                               place_of(pool, "ceph.rbd.features"), "write layering, or layering,exclusive-lock");
    const auto groups = options.find("ceph.osd.pg_num");
    if (groups != options.end() && !parse_uint(groups->second))
        validation.value_error("bad-number", fmt::format("{} is no number", quoted(groups->second)),
                               place_of(pool, "ceph.osd.pg_num"), "write a number such as 32");
}

}  // namespace

void validate_pools(Validation& validation) {
    for (const auto& pool : validation.stack.storage_pools) {
        if (pool.driver.text == "lvm") check_lvm(validation, pool);
        if (pool.driver.text == "zfs") check_zfs(validation, pool);
        if (pool.driver.text == "ceph") check_ceph(validation, pool);
        const Value* size = find_value(pool.config, "size");
        if (size != nullptr && has_named_source(pool))
            validation.error("size-without-file",
                             fmt::format("pool {} is on no file that could have a size", quoted(pool.name.text)),
                             size->where, "remove size");
    }
}

}  // namespace ctl::model
