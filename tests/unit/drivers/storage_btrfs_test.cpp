#include <doctest/doctest.h>
#include <fmt/format.h>

#include <filesystem>
#include <map>
#include <mutex>

#include "base/file.h"
#include "base/text.h"
#include "drivers/api/store.h"
#include "storage_world.h"
#include "support/own_namespaces.h"
#include "support/skip.h"

// Pools of the driver btrfs: on a loop file, on a block device, in a directory of a btrfs that is there.

using namespace ctl;
using namespace ctl::testing;
using diff::Verb;
using model::Mark;
using model::Pool;
using model::Volume;
namespace fs = std::filesystem;

namespace {

constexpr const char* shifted = "0:100000:65536";
constexpr std::int64_t mebibyte = std::int64_t{1} << 20;

std::string why_not() {
    if (const std::string reason = enter_own_namespaces(); !reason.empty()) return reason;
    if (!fs::exists("/usr/sbin/mkfs.btrfs")) return "needs mkfs.btrfs";
    if (!fs::exists("/dev/loop-control")) return "needs loop devices";
    return sh("grep -cw btrfs /proc/filesystems || true") == "0" ? "this kernel has no btrfs" : std::string();
}

Pool btrfs_pool(const std::string& source, std::int64_t megabytes = 0) {
    Pool pool = pool_of("btrfs", source);
    if (megabytes != 0) pool.size = megabytes * mebibyte;
    pool.mounted = true;
    return pool;
}

std::string image_file(const StorageWorld& world) { return world.state() + "/disks/default.img"; }

Volume custom_volume(const std::string& idmap = shifted) {
    Volume volume;
    volume.idmap = idmap;
    volume.mounted = true;
    return volume;
}

Pool seen_pool(StorageWorld& world) {
    const auto entry = world.observe("pool/default");
    REQUIRE(entry.has_value());
    return std::get<Pool>(entry->object);
}

/// The pool "default" on a loop file, with an image of `megabytes` that is no busybox.
void make_pool_and_image(StorageWorld& world, int megabytes = 1, std::int64_t pool_megabytes = 256) {
    world.must(Verb::create, "pool/default", btrfs_pool(image_file(world), pool_megabytes));
    const std::string root = world.dir() + "/root";
    sh(fmt::format(
        "mkdir -p {0}/bin && head -c {1}M /dev/urandom > {0}/big && echo old > {0}/bin/sh && chown 7:8 {0}/bin/sh", root,
        megabytes));
    world.must(Verb::create, "image/debian", image_of("directory", root));
}

std::string loops_of(const StorageWorld& world) { return sh("losetup -a | grep -c " + world.dir() + " || true"); }

}  // namespace

TEST_CASE("a pool on a loop file is made, seen, mounted again after a reboot, grown, and removed without a trace") {
    CTL_SKIP_IF(!why_not().empty(), why_not());
    StorageWorld world;
    const Pool pool = btrfs_pool(image_file(world), 256);
    CHECK(world.preflight("pool/default", pool).empty());
    world.must(Verb::create, "pool/default", pool);
    const auto seen = world.observe("pool/default");
    REQUIRE(seen.has_value());
    CHECK(seen->mark == Mark::complete);
    CHECK(seen->owner.stack == "lab");
    CHECK(std::get<Pool>(seen->object).size == 256 * mebibyte);
    CHECK(std::get<Pool>(seen->object).mounted == true);

    sh("umount " + world.state() + "/pools/default");
    CHECK(seen_pool(world).mounted == false);
    world.must(Verb::update, "pool/default", pool);
    CHECK(seen_pool(world).mounted == true);

    world.must(Verb::update, "pool/default", btrfs_pool(image_file(world), 512));
    CHECK(seen_pool(world).size == 512 * mebibyte);
    CHECK(sh("df --output=size -m " + world.state() + "/pools/default | tail -n1 | tr -d ' '") == "512");
    const auto shrunk = world.apply(Verb::update, "pool/default", btrfs_pool(image_file(world), 256));
    REQUIRE_FALSE(shrunk.has_value());
    CHECK(shrunk.error().code() == ErrorCode::unsupported);

    world.must(Verb::remove, "pool/default", pool);
    CHECK_FALSE(world.observe("pool/default").has_value());
    CHECK_FALSE(fs::exists(world.state() + "/disks"));
    CHECK_FALSE(fs::exists(world.state() + "/pools/default"));
    CHECK(loops_of(world) == "0");
}

TEST_CASE("a loop device of another host's file at the same path is not taken for the pool's") {
    CTL_SKIP_IF(!why_not().empty(), why_not());
    StorageWorld world;
    const std::string disks = world.state() + "/disks";
    const std::string theirs(trimmed(
        sh(fmt::format("mkdir -p {0} && truncate -s 256M {1} && losetup --find --show {1}", disks, image_file(world)))));
    sh("mount -t tmpfs none " + disks);
    world.must(Verb::create, "pool/default", btrfs_pool(image_file(world), 256));
    CHECK(trimmed(sh("findmnt -n -o SOURCE " + world.state() + "/pools/default")) != theirs);
    CHECK(trimmed(sh("losetup -n -O BACK-INO " + theirs)) != trimmed(sh("stat -c %i " + image_file(world))));
    world.must(Verb::remove, "pool/default", Pool{});
    sh(fmt::format("umount {} && losetup --detach {}", disks, theirs));
}

TEST_CASE("mount options change while the pool is mounted") {
    CTL_SKIP_IF(!why_not().empty(), why_not());
    StorageWorld world;
    Pool pool = btrfs_pool(image_file(world), 256);
    world.must(Verb::create, "pool/default", pool);
    const std::string options = "findmnt -no OPTIONS " + world.state() + "/pools/default";
    CHECK(sh(options).find("user_subvol_rm_allowed") != std::string::npos);
    pool.mount_options = "noatime,compress=zstd";
    world.must(Verb::update, "pool/default", pool);
    CHECK(seen_pool(world).mount_options == "noatime,compress=zstd");
    CHECK(sh(options).find("noatime") != std::string::npos);
    CHECK(sh(options).find("compress=zstd") != std::string::npos);
    pool.mount_options = "nonsense";
    CHECK_FALSE(world.apply(Verb::update, "pool/default", pool).has_value());
    CHECK(seen_pool(world).mounted == true);
}

TEST_CASE("on btrfs an image is copied to the pool once, and each volume is a snapshot of it") {
    CTL_SKIP_IF(!why_not().empty(), why_not());
    StorageWorld world;
    make_pool_and_image(world, 48);
    world.must(Verb::create, "volume/default/web", volume_of("debian", shifted));
    world.must(Verb::create, "volume/default/db", volume_of("debian", "none"));
    const std::string pool = world.state() + "/pools/default";
    CHECK(sh("btrfs subvolume list " + pool + " | wc -l") == "3");
    sh("sync -f " + pool);
    const auto space = fs::space(pool);
    CHECK((space.capacity - space.free) / static_cast<std::uintmax_t>(mebibyte) < 64);
    CHECK(sh("stat -c '%u %g' " + world.volume_path("web") + "/rootfs/bin/sh") == "100007 100008");
    CHECK(sh("stat -c '%u %g' " + world.volume_path("db") + "/rootfs/bin/sh") == "7 8");
    sh("echo new > " + world.volume_path("web") + "/rootfs/bin/sh");
    CHECK(sh("cat " + world.volume_path("db") + "/rootfs/bin/sh") == "old");

    // A container may make subvolumes of its own.
    sh("btrfs subvolume create " + world.volume_path("db") + "/data/nested && touch " + world.volume_path("db") +
       "/data/nested/file");
    world.must(Verb::remove, "volume/default/web", Volume{});
    world.must(Verb::remove, "volume/default/db", Volume{});
    CHECK(sh("ls -A " + pool + "/containers").empty());
    world.must(Verb::remove, "image/debian", model::Image{});
    world.must(Verb::remove, "pool/default", Pool{});
    CHECK(loops_of(world) == "0");
}

TEST_CASE("subvolumes that a container made read-only go with its volume, whatever their path is") {
    CTL_SKIP_IF(!why_not().empty(), why_not());
    StorageWorld world;
    make_pool_and_image(world);
    world.must(Verb::create, "volume/default/web", volume_of("debian", "none"));
    const std::string pool = world.state() + "/pools/default";
    const std::string tree = world.volume_path("web") + "/data";
    sh(fmt::format(
        "btrfs subvolume create {0}/own && touch {0}/own/file && btrfs subvolume snapshot -r {0}/own {0}/kept && "
        "btrfs subvolume create {0}/own/inner && touch {0}/own/inner/file && "
        "btrfs property set {0}/own/inner ro true && btrfs property set {0}/own ro true",
        tree));
    // A path that is too long for any system call: built from below, by whoever is in there already.
    sh(
        fmt::format("btrfs subvolume create {0}/x && cd {0}/x && d=$(printf 'd%.0s' $(seq 250)) && "
                    "for i in $(seq 20); do mkdir {0}/w && mv {0}/x {0}/w/$d && mv {0}/w {0}/x; done && "
                    "touch file && btrfs property set -t subvol . ro true",
                    tree));
    world.must(Verb::remove, "volume/default/web", Volume{});
    CHECK(sh("btrfs subvolume list " + pool + " | wc -l") == "1");
    CHECK(sh("ls -A " + pool + "/containers").empty());
    world.must(Verb::remove, "pool/default", Pool{});
}

TEST_CASE("what can't be swept keeps nobody from working on another volume or in another pool") {
    CTL_SKIP_IF(!why_not().empty(), why_not());
    StorageWorld world;
    make_pool_and_image(world);
    const std::string other = world.state() + "/pools/other";
    world.must(Verb::create, "pool/other", pool_of("dir", other));
    const std::string left = world.state() + "/pools/default/containers/" + std::string(drivers::aside_prefix) + "web";
    sh(fmt::format("mkdir {0} && touch {0}/file && chattr +i {0}/file", left));
    const std::vector changes{world.change(Verb::create, "volume/default/web", volume_of("debian", "none")),
                              world.change(Verb::create, "volume/default/db", volume_of("debian", "none")),
                              world.change(Verb::create, "volume/other/web", volume_of("debian", "none"))};
    std::map<std::size_t, Status> outcomes;
    std::mutex mutex;
    const auto note = [&](std::size_t i, Status outcome) {
        const std::lock_guard lock(mutex);
        outcomes.emplace(i, std::move(outcome));
    };
    world.driver_of(model::ObjectKind::volume).apply(changes, note, {});
    CHECK_FALSE(outcomes.at(0).has_value());
    CHECK(outcomes.at(1).has_value());
    CHECK(outcomes.at(2).has_value());
    world.must(Verb::remove, "volume/default/db", Volume{});
    CHECK_FALSE(world.apply(Verb::remove, "pool/default", Pool{}).has_value());
    sh("chattr -i " + left + "/file");
    world.must(Verb::create, "volume/default/web", volume_of("debian", "none"));
    CHECK_FALSE(fs::exists(left));
}

TEST_CASE("a growth that was cut short is seen and ended, mounted or not") {
    CTL_SKIP_IF(!why_not().empty(), why_not());
    StorageWorld world;
    world.must(Verb::create, "pool/default", btrfs_pool(image_file(world), 256));
    const std::string size = "df --output=size -m " + world.state() + "/pools/default | tail -n1 | tr -d ' '";
    sh("truncate -s 512M " + image_file(world));
    CHECK(seen_pool(world).size == 256 * mebibyte);
    world.must(Verb::update, "pool/default", btrfs_pool(image_file(world), 512));
    CHECK(seen_pool(world).size == 512 * mebibyte);
    CHECK(sh(size) == "512");
    sh(fmt::format("umount {}/pools/default && truncate -s 600M {}", world.state(), image_file(world)));
    world.must(Verb::update, "pool/default", btrfs_pool(image_file(world), 600));
    CHECK(sh(size) == "600");
    // Less than a sector at the file's end is nobody's.
    sh("truncate -s $((600 * 1048576 + 512)) " + image_file(world));
    CHECK(seen_pool(world).size == 600 * mebibyte + 512);
}

TEST_CASE("a volume's size is a limit that can be raised and taken away while it is mounted") {
    CTL_SKIP_IF(!why_not().empty(), why_not());
    StorageWorld world;
    make_pool_and_image(world);
    Volume volume = volume_of("debian", "none");
    volume.size = 20 * mebibyte;
    world.must(Verb::create, "volume/default/web", volume);
    CHECK(std::get<Volume>(world.observe("volume/default/web")->object).size == 20 * mebibyte);
    const std::string fill = "dd if=/dev/zero of=" + world.volume_path("web") + "/rootfs/fill bs=1M count=40 2>&1 || true";
    CHECK(sh(fill).find("quota exceeded") != std::string::npos);
    volume.size = 80 * mebibyte;
    world.must(Verb::update, "volume/default/web", volume);
    CHECK(std::get<Volume>(world.observe("volume/default/web")->object).size == 80 * mebibyte);
    CHECK(sh(fill).find("quota exceeded") == std::string::npos);
    volume.size = 0;
    world.must(Verb::update, "volume/default/web", volume);
    CHECK_FALSE(std::get<Volume>(world.observe("volume/default/web")->object).size.has_value());

    const std::string pool = world.state() + "/pools/default";
    const std::string counted = "btrfs qgroup show --raw " + pool + " | grep -c ^0/";
    CHECK(sh(counted) == "3");
    world.must(Verb::remove, "volume/default/web", Volume{});
    // The kernel takes its time to free what it held; whoever comes next finds that it has, unless the kernel did it itself.
    sh("btrfs subvolume sync " + pool + " && sync -f " + pool);
    world.must(Verb::update, "pool/default", btrfs_pool(image_file(world), 256));
    CHECK(sh(counted) == "2");
}

TEST_CASE("a pool that is full leaves no half-made volume, and says so") {
    CTL_SKIP_IF(!why_not().empty(), why_not());
    StorageWorld world;
    make_pool_and_image(world, 300, 200);
    const auto refused = world.apply(Verb::create, "volume/default/web", volume_of("debian", shifted));
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error().code() == ErrorCode::no_space);
    CHECK(sh("ls -A " + world.state() + "/pools/default/containers").empty());
    CHECK(sh("ls " + world.state() + "/pools/default/images").empty());
    CHECK_FALSE(world.observe("volume/default/web").has_value());
}

TEST_CASE("a pool whose file is gone is an error that names the file, and can still be deleted") {
    CTL_SKIP_IF(!why_not().empty(), why_not());
    StorageWorld world;
    const Pool pool = btrfs_pool(image_file(world), 256);
    world.must(Verb::create, "pool/default", pool);
    sh("umount " + world.state() + "/pools/default && rm " + image_file(world));
    CHECK(seen_pool(world).mounted == false);
    const auto refused = world.apply(Verb::update, "pool/default", pool);
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error().code() == ErrorCode::not_found);
    CHECK(refused.error().str().find("default.img") != std::string::npos);
    CHECK_FALSE(fs::exists(image_file(world)));
    world.must(Verb::remove, "pool/default", pool);
    CHECK_FALSE(world.observe("pool/default").has_value());
}

TEST_CASE("a pool with volumes, or in use, is not deleted, mounted or not") {
    CTL_SKIP_IF(!why_not().empty(), why_not());
    StorageWorld world;
    make_pool_and_image(world);
    world.must(Verb::create, "volume/default/custom/data", custom_volume());
    CHECK(world.apply(Verb::remove, "pool/default", Pool{}).error().code() == ErrorCode::conflict);
    sh("umount -R " + world.state() + "/pools/default");
    CHECK(world.apply(Verb::remove, "pool/default", Pool{}).error().code() == ErrorCode::conflict);
    CHECK(fs::exists(image_file(world)));
    world.must(Verb::remove, "volume/default/custom/data", Volume{});
    sh("sleep 60 < " + world.state() + "/pools/default/.ctl-pool > /dev/null 2>&1 & echo $! > " + world.dir() + "/pid");
    CHECK(world.apply(Verb::remove, "pool/default", Pool{}).error().code() == ErrorCode::conflict);
    CHECK(fs::exists(image_file(world)));
    sh("kill $(cat " + world.dir() + "/pid); timeout 30 tail --pid=$(cat " + world.dir() + "/pid) -s 0.05 -f /dev/null");
    world.must(Verb::remove, "pool/default", Pool{});
}

TEST_CASE("what is on a file or device is not overwritten unless the pool says so") {
    CTL_SKIP_IF(!why_not().empty(), why_not());
    StorageWorld world;
    const std::string disk = world.dir() + "/disk";
    sh("truncate -s 256M " + disk + " && mkfs.btrfs -q " + disk);
    Pool pool = btrfs_pool(disk);
    const auto refused = world.preflight("pool/default", pool);
    REQUIRE(refused.size() == 1);
    CHECK(refused.front().code() == ErrorCode::conflict);
    CHECK_FALSE(world.apply(Verb::create, "pool/default", pool).has_value());
    CHECK_FALSE(world.observe("pool/default").has_value());
    pool.options.emplace().emplace("source.wipe", "true");
    world.must(Verb::create, "pool/default", pool);
    CHECK(seen_pool(world).options == pool.options);
    world.must(Verb::remove, "pool/default", pool);
    CHECK(fs::exists(disk));
    CHECK(sh("blkid -p " + disk + " || true").empty());
}

TEST_CASE("a block device becomes a pool, and is mounted again only if it is the same file system") {
    CTL_SKIP_IF(!why_not().empty(), why_not());
    StorageWorld world;
    const std::string disk = world.dir() + "/disk";
    const std::string device = sh("truncate -s 256M " + disk + " && losetup -f --show " + disk);
    Pool pool = btrfs_pool(device);
    pool.options.emplace().emplace("source.wipe", "true");
    world.must(Verb::create, "pool/default", pool);
    CHECK(sh("findmnt -no SOURCE " + world.state() + "/pools/default") == device);
    CHECK_FALSE(seen_pool(world).size.has_value());
    sh("umount " + world.state() + "/pools/default && mkfs.btrfs -fq " + device);
    CHECK(world.apply(Verb::update, "pool/default", pool).error().code() == ErrorCode::conflict);
    CHECK(seen_pool(world).mounted == false);
    sh("losetup -d " + device);
}

TEST_CASE("a directory of a btrfs that is there becomes a pool, one elsewhere does not") {
    CTL_SKIP_IF(!why_not().empty(), why_not());
    StorageWorld world;
    const std::string disk = world.dir() + "/disk";
    sh(
        fmt::format("truncate -s 256M {0} && mkfs.btrfs -q {0} && mkdir {1}/m {1}/plain && mount -o loop {0} {1}/m && "
                    "btrfs subvolume create {1}/m/pool",
                    disk, world.dir()));
    const auto refused = world.preflight("pool/default", btrfs_pool(world.dir() + "/plain"));
    REQUIRE(refused.size() == 1);
    CHECK(refused.front().code() == ErrorCode::unsupported);
    const Pool pool = btrfs_pool(world.dir() + "/m/pool");
    world.must(Verb::create, "pool/default", pool);
    CHECK(seen_pool(world) == pool);
    world.must(Verb::create, "volume/default/custom/data", custom_volume());
    CHECK(sh("btrfs subvolume list " + world.dir() + "/m | wc -l") == "2");
    world.must(Verb::remove, "volume/default/custom/data", Volume{});
    world.must(Verb::remove, "pool/default", pool);
    CHECK(sh("ls -A " + world.dir() + "/m/pool").empty());
    sh("umount " + world.dir() + "/m");
}

TEST_CASE("a custom volume begins empty and shows its files with the ids of whoever uses it") {
    CTL_SKIP_IF(!why_not().empty(), why_not());
    StorageWorld world;
    const Pool pool = pool_of("dir", world.state() + "/pools/default");
    world.must(Verb::create, "pool/default", pool);
    world.must(Verb::create, "volume/default/custom/data", custom_volume());
    const auto entry = world.observe("volume/default/custom/data");
    REQUIRE(entry.has_value());
    CHECK(entry->mark == Mark::complete);
    CHECK(std::get<Volume>(entry->object) == custom_volume());
    const std::string files = *pool.source + "/custom/data/rootfs";
    CHECK(sh("ls -A " + files).empty());
    CHECK(sh("stat -c '%u %g' " + files) == "100000 100000");
    sh("setpriv --reuid 100000 --regid 100000 --clear-groups touch " + files + "/file");
    world.must(Verb::update, "volume/default/custom/data", custom_volume("none"));
    CHECK(sh("stat -c '%u %g' " + files + "/file") == "0 0");
    CHECK(world.apply(Verb::remove, "pool/default", pool).error().code() == ErrorCode::conflict);
    Volume limited = custom_volume("none");
    limited.size = mebibyte;
    CHECK(world.apply(Verb::update, "volume/default/custom/data", limited).error().code() == ErrorCode::unsupported);
    world.must(Verb::remove, "volume/default/custom/data", Volume{});
    world.must(Verb::remove, "pool/default", pool);
    CHECK_FALSE(fs::exists(*pool.source));
}
