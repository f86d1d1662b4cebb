#include <doctest/doctest.h>

#include <algorithm>

#include "stacks.h"

using namespace ctl;
using namespace ctl::model;
using namespace ctl::testing;

namespace {

constexpr std::string_view ground = R"(
stack: lab
storage_pools:
- {name: default, driver: dir}
- {name: elsewhere, driver: dir, config: {source: /srv/pool}}
- {name: fast, driver: btrfs, config: {size: 2GiB, volume.size: 300MiB, source.wipe: true, btrfs.mount_options: noatime}}
- {name: disk, driver: btrfs, config: {source: /dev/sdb}}
images: [{name: busybox, source: {type: busybox}}]
profiles: [{name: default, devices: {root: {type: disk, path: /, pool: fast}}}]
)";

Lowered lowered_stack(const std::string& rest) { return lowered(std::string(ground) + rest); }

}  // namespace

TEST_CASE("a btrfs pool is mounted among ours, from a loop file unless it names a source") {
    const auto result = lowered_stack("");
    const auto& fast = object<Pool>(result, "fast");
    CHECK(fast.driver == "btrfs");
    CHECK(fast.source == "/state/disks/fast.img");
    CHECK(fast.size == std::int64_t{2} << 30);
    CHECK(fast.mount_options == "noatime");
    CHECK(fast.options == std::map<std::string, std::string>{{"source.wipe", "true"}});
    CHECK(fast.mounted == true);
    CHECK(object<Pool>(result, "disk").source == "/dev/sdb");
    CHECK_FALSE(object<Pool>(result, "default").mounted.has_value());
}

TEST_CASE("a root disk has its own size, or the pool's, or none") {
    const auto result = lowered_stack(
        "containers:\n"
        "- {name: a, image: busybox}\n"
        "- {name: b, image: busybox, devices: {root: {type: disk, path: /, pool: fast, size: 1GiB}}}\n"
        "- {name: c, image: busybox, devices: {root: {type: disk, path: /, pool: fast, size: 0}}}\n"
        "- {name: d, image: busybox, devices: {root: {type: disk, path: /, pool: elsewhere}}}\n");
    CHECK(object<Volume>(result, "fast/a").size == std::int64_t{300} << 20);
    CHECK(object<Volume>(result, "fast/b").size == std::int64_t{1} << 30);
    CHECK_FALSE(object<Volume>(result, "fast/c").size.has_value());
    CHECK_FALSE(object<Volume>(result, "elsewhere/d").size.has_value());
    CHECK(object<Container>(result, "a").rootfs == "/state/pools/fast/containers/a/rootfs");
    CHECK(object<Container>(result, "d").rootfs == "/srv/pool/containers/d/rootfs");
}

TEST_CASE("a custom volume is seen with the ids of the containers that attach it, and these stand on it") {
    const auto result = lowered_stack(
        "volumes:\n"
        "- {name: data, pool: elsewhere, lifecycle: {prevent_destroy: true}}\n"
        "- {name: raw, pool: fast, config: {security.unmapped: true, size: 1GiB}}\n"
        "- {name: idle, pool: fast}\n"
        "containers:\n"
        "- {name: a, image: busybox, devices: {data: {type: disk, path: /data, pool: elsewhere, source: data},"
        " raw: {type: disk, path: /raw, pool: fast, source: raw, readonly: true}}}\n");
    const auto& data = object<Volume>(result, "elsewhere/custom/data");
    CHECK(data.idmap == "0:100000:65536");
    CHECK_FALSE(data.image.has_value());
    CHECK_FALSE(data.size.has_value());
    CHECK(data.mounted == true);
    CHECK(object<Volume>(result, "fast/custom/raw").idmap == "none");
    CHECK(object<Volume>(result, "fast/custom/raw").size == std::int64_t{1} << 30);
    CHECK(object<Volume>(result, "fast/custom/idle").idmap == "0:100000:65536");
    const auto& mounts = *object<Container>(result, "a").mounts;
    CHECK(mounts.at("/data") == "/srv/pool/custom/data/rootfs");
    CHECK(mounts.at("/raw") == "/state/pools/fast/custom/raw/rootfs ro");
    CHECK(has_need(result, {ObjectKind::container, "a"}, {{ObjectKind::volume, "elsewhere/custom/data"}, Bond::restart}));
    const auto& entry = result.desired.at({ObjectKind::volume, "elsewhere/custom/data"});
    CHECK(entry.owner.kind == "Volume");
    CHECK(entry.owner.name == "elsewhere/data");
    CHECK(entry.lifecycle.prevent_destroy);
}

TEST_CASE("containers of different ids can't see one volume, unless it shows the host's") {
    const std::string containers =
        "containers:\n"
        "- {name: a, image: busybox, devices: {data: {type: disk, path: /data, pool: fast, source: data}}}\n"
        "- {name: b, image: busybox, config: {security.privileged: true},"
        " devices: {data: {type: disk, path: /data, pool: fast, source: data}}}\n";
    const auto has_fault = [](const Lowered& result) {
        const auto& all = result.diagnostics.all();
        return std::any_of(all.begin(), all.end(), [](const Diagnostic& d) { return d.rule == "volume-maps"; });
    };
    CHECK(has_fault(lowered_stack("volumes: [{name: data, pool: fast}]\n" + containers)));
    CHECK_FALSE(
        has_fault(lowered_stack("volumes: [{name: data, pool: fast, config: {security.unmapped: true}}]\n" + containers)));
}
