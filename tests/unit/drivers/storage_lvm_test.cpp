#include <doctest/doctest.h>
#include <fmt/format.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>

#include "base/file.h"
#include "diff/restore.h"
#include "drivers/storage/commands.h"
#include "drivers/storage/store_source.h"
#include "storage_world.h"
#include "support/own_namespaces.h"
#include "support/skip.h"

// Pools of the driver lvm. With a device mapper (in the virtual machine) the tools are lvm2's own; without one a stand-in
// takes their place, whose volumes are real block devices with real file systems all the same.

using namespace ctl;
using namespace ctl::testing;
using diff::Verb;
using model::Mark;
using model::Pool;
using model::Volume;
namespace fs = std::filesystem;

namespace {

constexpr const char* shifted = "0:100000:65536";
constexpr const char* other_shifted = "0:300000:65536";
constexpr std::int64_t mebibyte = std::int64_t{1} << 20;
/// In memory: the volumes of the stand-in are files.
constexpr const char* stand_in_home = "/run/lvm-stand-in";
const std::string group = "ctltest" + std::to_string(::getpid());

bool has_device_mapper() {
    return fs::exists("/sbin/lvs") && fs::exists("/sys/class/misc/device-mapper") &&
           sh("modprobe --dry-run --quiet dm-thin-pool && echo yes || true") == "yes";
}

/// Whether the kernel lets this process grow a file system that is in use.
bool can_grow() { return (std::stoull(sh("awk '/^CapEff/ { print $2 }' /proc/self/status"), nullptr, 16) >> 24 & 1) != 0; }

std::string why_not() {
    if (const std::string reason = enter_own_namespaces(); !reason.empty()) return reason;
    if (!fs::exists("/dev/loop-control")) return "needs loop devices";
    return fs::exists("/usr/bin/python3") || has_device_mapper() ? std::string() : "needs python3";
}

/// A world with lvm2 or its stand-in.
class LvmWorld : public StorageWorld {
public:
    LvmWorld() {
        // Nobody serves udev in the test's namespaces: lvm2 makes the device nodes itself.
        ::setenv("DM_DISABLE_UDEV", "1", 1);
        if (has_device_mapper()) return;
        path_ = ::getenv("PATH");
        sh(fmt::format("mkdir -p {}/bin {}", dir(), stand_in_home));
        for (const auto* tool : {"vgs", "lvs", "vgcreate", "vgremove", "vgchange", "lvcreate", "lvextend", "lvremove",
                                 "pvremove", "pvresize", "thin_check", "modprobe"})
            sh(fmt::format("ln -s {}/tests/support/lvm_stand_in {}/bin/{}", CTL_SOURCE_DIR, dir(), tool));
        ::setenv("PATH", (dir() + "/bin:" + path_).c_str(), 1);
        ::setenv("LVM_STAND_IN", stand_in_home, 1);
    }
    LvmWorld(const LvmWorld&) = delete;
    LvmWorld& operator=(const LvmWorld&) = delete;
    ~LvmWorld() {
        if (path_.empty()) return;
        ::setenv("PATH", path_.c_str(), 1);
        // What a test that failed has left.
        sh(fmt::format(
            "awk '{{print $5}}' /proc/self/mountinfo | grep ^{0}/ | sort -r | xargs -r -n1 umount -l; losetup -a | grep -e "
            "{0}/ -e {1}- | cut -d: -f1 | xargs -r -n1 losetup -d; rm -rf /dev/{1} {2}",
            dir(), group, stand_in_home));
    }

private:
    std::string path_;
};

Pool lvm_pool(const StorageWorld& world, bool is_thin = true, std::int64_t megabytes = 512) {
    Pool pool = pool_of("lvm", world.state() + "/disks/default.img");
    pool.options = {{"lvm.vg_name", group}, {"lvm.use_thinpool", is_thin ? "true" : "false"}};
    if (is_thin) pool.options->emplace("lvm.thinpool_name", "LXDThinPool");
    pool.size = megabytes * mebibyte;
    pool.mounted = true;
    return pool;
}

Volume sized(Volume volume, std::int64_t megabytes) {
    volume.size = megabytes * mebibyte;
    return volume;
}

/// As big as the image's own volume.
Volume web_volume(const std::string& idmap = shifted) { return sized(volume_of("debian", idmap), 136); }

Volume custom_volume() {
    Volume volume;
    volume.idmap = shifted;
    volume.mounted = true;
    return sized(volume, 128);
}

void make_pool_and_image(StorageWorld& world, const Pool& pool) {
    world.must(Verb::create, "pool/default", pool);
    const std::string root = world.dir() + "/root";
    sh(fmt::format("mkdir -p {0}/bin && head -c 3M /dev/urandom > {0}/big && echo old > {0}/bin/sh && chown 7:8 {0}/bin/sh",
                   root));
    world.must(Verb::create, "image/debian", image_of("directory", root));
}

Volume seen_volume(StorageWorld& world, const std::string& id) {
    const auto entry = world.observe(id);
    REQUIRE(entry.has_value());
    return std::get<Volume>(entry->object);
}

/// Logical volumes in the group, the thin pool counted in.
int volumes_in_group() {
    return std::stoi(
        sh("lvs --reportformat json --units b --nosuffix --options vg_name,lv_name,lv_size,lv_tags,lv_active | grep -c '\"" +
           group + "\"' || true"));
}

void remove_all(StorageWorld& world, const std::vector<std::string>& volumes) {
    for (const auto& id : volumes) world.must(Verb::remove, id, Volume{});
    world.must(Verb::remove, "pool/default", Pool{});
    CHECK_FALSE(fs::exists(world.state() + "/disks"));
    CHECK_FALSE(fs::exists("/dev/" + group));
    CHECK(sh("losetup -a | grep -c " + world.dir() + " || true") == "0");
    CHECK(fs::is_empty(world.state() + "/pools"));
    CHECK(mounts_below(world.dir()) == 0);
}

}  // namespace

TEST_CASE("a volume group in a file is made, seen, grown, and removed without a trace") {
    CTL_SKIP_IF(!why_not().empty(), why_not());
    LvmWorld world;
    const Pool pool = lvm_pool(world);
    const auto faults = world.preflight("pool/default", pool);
    if (!faults.empty()) FAIL(faults.front().str());
    world.must(Verb::create, "pool/default", pool);
    const auto seen = world.observe("pool/default");
    REQUIRE(seen.has_value());
    CHECK(seen->mark == Mark::complete);
    CHECK(std::get<Pool>(seen->object) == pool);
    // Again: nothing changes.
    world.must(Verb::update, "pool/default", pool);
    CHECK(std::get<Pool>(world.observe("pool/default")->object) == pool);

    world.must(Verb::update, "pool/default", lvm_pool(world, true, 1024));
    CHECK(std::get<Pool>(world.observe("pool/default")->object).size == 1024 * mebibyte);
    CHECK_FALSE(world.apply(Verb::update, "pool/default", lvm_pool(world, true, 256)).has_value());
    CHECK(world.preflight("pool/default", lvm_pool(world, true, 256)).size() == 1);
    CHECK(std::get<Pool>(world.observe("pool/default")->object).size == 1024 * mebibyte);
    remove_all(world, {});
}

TEST_CASE("a pool whose store an interrupted run had not begun with is made, or removed, as if it had never been") {
    CTL_SKIP_IF(!why_not().empty(), why_not());
    LvmWorld world;
    const std::string place = world.state() + "/pools/default";
    const auto begin = [&] {
        world.must(Verb::create, "pool/default", pool_of("dir", place));
        sh(fmt::format("sed -i 3s/dir/lvm/ {0}/.ctl-pool && rmdir {0}/containers", place));
        // As something with other fields than those wanted it could not be completed.
        CHECK_FALSE(world.observe("pool/default").has_value());
    };
    begin();
    world.must(Verb::remove, "pool/default", Pool{});
    CHECK_FALSE(fs::exists(place));
    begin();
    world.must(Verb::create, "pool/default", lvm_pool(world));
    CHECK(world.observe("pool/default")->mark == Mark::complete);
    remove_all(world, {});
}

TEST_CASE("a half-written record keeps no pool from being made, nor its directory from going") {
    CTL_SKIP_IF(!why_not().empty(), why_not());
    LvmWorld world;
    const std::string place = world.state() + "/pools/default";
    const auto leave_behind = [&] {
        for (const auto* name : {".ctl-store", ".ctl-pool"})
            sh(fmt::format("mkdir -p {} && touch {}", place, path_aside(place + "/" + name).native()));
    };
    leave_behind();
    world.must(Verb::create, "pool/default", lvm_pool(world));
    world.must(Verb::remove, "pool/default", Pool{});
    // The directory was there before.
    CHECK(fs::remove(place));

    world.must(Verb::create, "pool/default", lvm_pool(world));
    leave_behind();
    remove_all(world, {});
}

TEST_CASE("containers on a thin pool are clones of one image, each with its ids and size") {
    CTL_SKIP_IF(!why_not().empty(), why_not());
    LvmWorld world;
    make_pool_and_image(world, lvm_pool(world));
    world.must(Verb::create, "volume/default/web", web_volume());
    world.must(Verb::create, "volume/default/db", web_volume(other_shifted));
    const std::string web = world.volume_path("web") + "/rootfs";
    CHECK(sh("cat " + web + "/bin/sh; stat -c %u:%g " + web + "/bin/sh") == "old\n100007:100008");
    CHECK(sh("stat -c %u:%g " + world.volume_path("db") + "/rootfs/bin/sh") == "300007:300008");
    CHECK(sh("stat -f -c %T " + web) == "ext2/ext3");
    CHECK_FALSE(fs::exists(web + "/lost+found"));
    // The thin pool, the image and the two.
    CHECK(volumes_in_group() == 4);
    CHECK(seen_volume(world, "volume/default/web") == web_volume());
    sh("echo new > " + web + "/bin/sh");
    CHECK(sh("cat " + world.volume_path("db") + "/rootfs/bin/sh") == "old");

    // Other ids, without a copy.
    world.must(Verb::update, "volume/default/web", web_volume(other_shifted));
    CHECK(sh("cat " + web + "/bin/sh; stat -c %u " + web + "/bin/sh") == "new\n300007");
    remove_all(world, {"volume/default/web", "volume/default/db"});
}

TEST_CASE("a volume in a group grows while it is in use, and never shrinks") {
    CTL_SKIP_IF(!why_not().empty(), why_not());
    CTL_SKIP_IF(!can_grow(), "needs CAP_SYS_RESOURCE");
    LvmWorld world;
    make_pool_and_image(world, lvm_pool(world));
    world.must(Verb::create, "volume/default/web", sized(web_volume(), 256));
    const std::string web = world.volume_path("web") + "/rootfs";
    const auto room = [&] { return std::stoi(sh("df --output=size -m " + web + " | tail -n1")); };
    const int before = room();
    CHECK(before > 200);
    world.must(Verb::update, "volume/default/web", sized(web_volume(), 400));
    CHECK(room() > before + 120);
    CHECK(seen_volume(world, "volume/default/web").size == 400 * mebibyte);
    remove_all(world, {"volume/default/web"});
}

TEST_CASE("the growth of a volume that was cut short between its device and its file system is seen, and ended") {
    CTL_SKIP_IF(!why_not().empty(), why_not());
    LvmWorld world;
    make_pool_and_image(world, lvm_pool(world));
    world.must(Verb::create, "volume/default/web", web_volume());
    const std::string web = world.volume_path("web") + "/rootfs";
    const std::string link = fs::read_symlink(world.volume_path("web") + "/data").native();
    sh(fmt::format("lvextend --quiet --size {}b -- {}/{}", 400 * mebibyte, group, link));
    CHECK(seen_volume(world, "volume/default/web") == web_volume());
    if (can_grow()) {
        const auto room = [&] { return std::stoi(sh("df --output=size -m " + web + " | tail -n1")); };
        const int before = room();
        world.must(Verb::update, "volume/default/web", sized(web_volume(), 400));
        CHECK(room() > before + 200);
        CHECK(seen_volume(world, "volume/default/web").size == 400 * mebibyte);
    }
    remove_all(world, {"volume/default/web"});
}

TEST_CASE("an ext4 takes all of its device, or what it had before that grew") {
    const StorageWorld world;
    const auto commands = drivers::storage::host_commands();
    const std::string file = world.dir() + "/device";
    // The last of some of these groups would be too small to be made.
    for (const int megabytes : {128, 132, 136, 140, 256, 260, 264, 268, 400, 2052}) {
        CAPTURE(megabytes);
        const std::int64_t bytes = megabytes * mebibyte;
        fs::remove(file);
        REQUIRE(commands.size_file(file, bytes).has_value());
        CHECK_FALSE(commands.size_of_ext4(file).has_value());
        REQUIRE(run_tool(commands, drivers::storage::mkfs_ext4(file)).has_value());
        CHECK(commands.size_of_ext4(file) == bytes);
        REQUIRE(commands.size_file(file, bytes + 32 * mebibyte).has_value());
        const auto left = commands.size_of_ext4(file);
        REQUIRE(left.has_value());
        CHECK(*left <= bytes);
        CHECK(*left > bytes - 16 * mebibyte);
    }
}

TEST_CASE("a volume in a group that would shrink is refused before anything is done") {
    CTL_SKIP_IF(!why_not().empty(), why_not());
    LvmWorld world;
    make_pool_and_image(world, lvm_pool(world));
    world.must(Verb::create, "volume/default/web", web_volume());
    auto change = world.change(Verb::update, "volume/default/web", sized(web_volume(), 64));
    change.observed = *world.observe("volume/default/web");
    CHECK(world.driver_of(model::ObjectKind::volume).preflight({&change, 1}).size() == 1);
    CHECK_FALSE(world.apply(Verb::update, "volume/default/web", sized(web_volume(), 64)).has_value());
    CHECK(seen_volume(world, "volume/default/web") == web_volume());
    remove_all(world, {"volume/default/web"});
}

TEST_CASE("snapshots of a volume in a group are put back with its size, thin or not") {
    CTL_SKIP_IF(!why_not().empty(), why_not());
    for (const bool is_thin : {true, false}) {
        CAPTURE(is_thin);
        LvmWorld world;
        make_pool_and_image(world, lvm_pool(world, is_thin, is_thin ? 512 : 2048));
        const Volume web = web_volume();
        const Volume bigger = sized(web, can_grow() ? 240 : 136);
        world.must(Verb::create, "volume/default/web", web);
        world.must(Verb::create, "volume/default/custom/data", custom_volume());
        const std::string file = world.volume_path("web") + "/rootfs/bin/sh";
        // Nearly full: the copy needs as much room as the volume has, and no more.
        sh("head -c 110M /dev/zero > " + world.volume_path("web") + "/rootfs/big");
        model::Snapshot snapshot;
        snapshot.made = "2026-11-21T10:00:00Z";
        world.must(Verb::create, "snapshot/default/web@first", snapshot);
        sh("echo new > " + file);
        world.must(Verb::update, "volume/default/web", bigger);

        auto change = world.change(Verb::update, "volume/default/web", bigger);
        change.fields.push_back({std::string(diff::restored_field),
                                 std::nullopt,
                                 std::string("first"),
                                 model::Effect::restart,
                                 diff::Cause::changed,
                                 {}});
        std::optional<Status> outcome;
        world.driver_of(model::ObjectKind::volume)
            .apply({&change, 1}, [&](std::size_t, Status status) { outcome = std::move(status); }, {});
        REQUIRE(outcome.has_value());
        if (!*outcome) FAIL(outcome->error().str());
        CHECK(sh("cat " + file) == "old");
        CHECK(seen_volume(world, "volume/default/web") == bigger);

        world.must(Verb::remove, "snapshot/default/web@first", model::Snapshot{});
        CHECK_FALSE(world.observe("snapshot/default/web@first").has_value());
        const std::string data = world.state() + "/pools/default/custom/data/rootfs";
        CHECK(sh("stat -c '%u %a' " + data) == "100000 711");
        CHECK(fs::is_empty(data));
        remove_all(world, {"volume/default/web", "volume/default/custom/data"});
    }
}

TEST_CASE("what an interrupted run left of a volume goes with the next change, and with its logical volume") {
    CTL_SKIP_IF(!why_not().empty(), why_not());
    LvmWorld world;
    make_pool_and_image(world, lvm_pool(world));
    world.must(Verb::create, "volume/default/web", web_volume());
    const int whole = volumes_in_group();
    // As a removal leaves it that was cut short, and a creation that got no further than the link.
    sh("umount " + world.volume_path("web") + "/rootfs && mv " + world.volume_path("web") + " " +
       world.volume_path(".ctl-tmp-web"));
    sh(fmt::format("mkdir {0} && ln -s ctl_00000000000000000000000000000000 {0}/data", world.volume_path(".ctl-tmp-db")));
    world.must(Verb::create, "volume/default/custom/data", custom_volume());
    CHECK(volumes_in_group() == whole);
    CHECK_FALSE(fs::exists(world.volume_path(".ctl-tmp-web")));
    CHECK_FALSE(fs::exists(world.volume_path(".ctl-tmp-db")));
    remove_all(world, {"volume/default/custom/data"});
}

TEST_CASE("what belongs to somebody else is neither overwritten nor deleted") {
    CTL_SKIP_IF(!why_not().empty(), why_not());
    LvmWorld world;
    const std::string file = world.dir() + "/theirs.img";
    sh("truncate -s 300M " + file + " && mkfs.ext4 -q " + file);
    Pool pool = lvm_pool(world);
    pool.source = file;
    pool.size.reset();
    const auto faults = world.preflight("pool/default", pool);
    REQUIRE(faults.size() == 1);
    CHECK(faults.front().str().find("ext4") != std::string::npos);
    CHECK_FALSE(world.apply(Verb::create, "pool/default", pool).has_value());
    CHECK(sh("blkid -o value -s TYPE " + file) == "ext4");
    world.must(Verb::remove, "pool/default", Pool{});
    CHECK(sh("blkid -o value -s TYPE " + file) == "ext4");

    pool.options->emplace("source.wipe", "true");
    CHECK(world.preflight("pool/default", pool).empty());
    world.must(Verb::create, "pool/default", pool);
    world.must(Verb::create, "volume/default/custom/data", custom_volume());
    // A volume without our mark behind one of our links: an attempt to have it deleted for somebody else.
    sh(fmt::format("lvcreate --quiet --yes --thin --virtualsize 67108864b --name theirs -- {}/LXDThinPool", group));
    sh(fmt::format("mkdir {0} && ln -s theirs {0}/data", world.volume_path(".ctl-tmp-x")));
    CHECK_FALSE(world.apply(Verb::create, "volume/default/x", custom_volume()).has_value());
    world.must(Verb::remove, "volume/default/custom/data", Volume{});
    CHECK_FALSE(world.apply(Verb::remove, "pool/default", Pool{}).has_value());
    CHECK(fs::exists("/dev/" + group + "/theirs"));
    sh("rm " + world.volume_path(".ctl-tmp-x") + "/data");
    // Nor does the group go while it is there.
    CHECK_FALSE(world.apply(Verb::remove, "pool/default", Pool{}).has_value());
    sh(fmt::format("lvremove --quiet --yes -- {}/theirs", group));
    world.must(Verb::remove, "pool/default", Pool{});
    // A file that was there before stays.
    CHECK(fs::file_size(file) == 300 * mebibyte);
}

TEST_CASE("a missing tool is an error before anything is done, and names its package") {
    CTL_SKIP_IF(!why_not().empty(), why_not());
    StorageWorld world;
    CTL_SKIP_IF(fs::exists("/sbin/lvs"), "lvm2 is installed");
    const auto faults = world.preflight("pool/default", lvm_pool(world));
    REQUIRE(faults.size() == 1);
    CHECK(faults.front().code() == ErrorCode::missing_driver);
    CHECK(faults.front().hint().find("lvm2") != std::string::npos);
}
