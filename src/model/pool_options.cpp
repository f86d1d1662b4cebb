#include "model/pool_options.h"

#include <string_view>

#include "model/value_types.h"

namespace ctl::model {

namespace {

std::string text_of(const resource::StoragePool& pool, std::string_view key, std::string_view otherwise) {
    const Value* value = find_value(pool.config, key);
    return value == nullptr || value->text.empty() ? std::string(otherwise) : value->text;
}

bool is_set(const resource::StoragePool& pool, std::string_view key, bool otherwise) {
    const Value* value = find_value(pool.config, key);
    return value == nullptr ? otherwise : parse_bool(value->text).value_or(otherwise);
}

std::map<std::string, std::string> lvm_options(const resource::StoragePool& pool) {
    std::map<std::string, std::string> options;
    options["lvm.vg_name"] =
        text_of(pool, "lvm.vg_name", has_named_source(pool) ? text_of(pool, "source", "") : pool.name.text);
    const bool is_thin = is_set(pool, "lvm.use_thinpool", true);
    options["lvm.use_thinpool"] = is_thin ? "true" : "false";
    if (is_thin) options["lvm.thinpool_name"] = text_of(pool, "lvm.thinpool_name", "LXDThinPool");
    const auto metadata = parse_size(text_of(pool, "lvm.thinpool_metadata_size", "0"));
    if (is_thin && metadata && *metadata != 0) options["lvm.thinpool_metadata_size"] = std::to_string(*metadata);
    if (is_set(pool, "lvm.vg.force_reuse", false)) options["lvm.vg.force_reuse"] = "true";
    return options;
}

std::map<std::string, std::string> ceph_options(const resource::StoragePool& pool) {
    std::map<std::string, std::string> options;
    options["ceph.osd.pool_name"] = text_of(pool, "ceph.osd.pool_name", text_of(pool, "source", pool.name.text));
    options["ceph.cluster_name"] = text_of(pool, "ceph.cluster_name", "ceph");
    options["ceph.user.name"] = text_of(pool, "ceph.user.name", "admin");
    for (const auto* key : {"ceph.osd.data_pool_name", "ceph.osd.pg_num", "ceph.rbd.features"})
        if (const std::string text = text_of(pool, key, ""); !text.empty()) options[key] = text;
    if (is_set(pool, "ceph.osd.force_reuse", false)) options["ceph.osd.force_reuse"] = "true";
    return options;
}

}  // namespace

std::map<std::string, std::string> pool_options(const resource::StoragePool& pool) {
    if (pool.driver.text == "lvm") return lvm_options(pool);
    if (pool.driver.text == "ceph") return ceph_options(pool);
    if (pool.driver.text == "zfs")
        return {{"zfs.pool_name",
                 text_of(pool, "zfs.pool_name", has_named_source(pool) ? text_of(pool, "source", "") : pool.name.text)}};
    return {};
}

bool has_named_source(const resource::StoragePool& pool) {
    const Value* source = find_value(pool.config, "source");
    if (pool.driver.text == "ceph") return true;
    if (source == nullptr || source->text.empty()) return false;
    if (pool.driver.text == "zfs") return source->text.front() != '/' && source->text.front() != '.';
    return pool.driver.text == "lvm" && source->text.find('/') == std::string::npos;
}

bool has_block_volumes(const resource::StoragePool& pool) { return pool.driver.text == "lvm" || pool.driver.text == "ceph"; }

}  // namespace ctl::model
