#include <doctest/doctest.h>
#include <fmt/format.h>

#include <filesystem>
#include <fstream>

#include "base/file.h"
#include "drivers/api/store.h"
#include "storage_world.h"
#include "support/own_namespaces.h"
#include "support/skip.h"

// Volumes on file systems of other kinds than the machine's own, and on full ones.

using namespace ctl;
using namespace ctl::testing;
using diff::Verb;
using model::Pool;
using model::Volume;
namespace fs = std::filesystem;

namespace {

constexpr const char* shifted = "0:100000:65536";

/// "" or why a file system of this kind can't be made or mounted here.
std::string why_not(const std::string& kind) {
    if (const std::string reason = enter_own_namespaces(); !reason.empty()) return reason;
    if (!fs::exists("/usr/sbin/mkfs." + kind)) return "needs mkfs." + kind;
    if (!fs::exists("/dev/loop-control")) return "needs loop devices";
    return sh("grep -cw " + kind + " /proc/filesystems || true") == "0" ? "this kernel has no " + kind : std::string();
}

/// A new file system on a file, mounted where the world keeps its state.
void mount_below(const StorageWorld& world, const std::string& kind) {
    const std::string file = world.dir() + "/disk";
    sh(fmt::format("truncate -s 400M {0} && mkfs.{1} -q {0} && mkdir -p {2} && mount -t {1} -o loop {0} {2}", file, kind,
                   world.state()));
}

long used_megabytes(const std::string& path) {
    sh("sync -f " + path);
    const auto space = fs::space(path);
    return static_cast<long>((space.capacity - space.free) >> 20);
}

/// Everything below a pool's directory of volumes.
std::string left_in(const std::string& pool) { return sh("ls -A " + pool + "/containers 2>/dev/null || true"); }

}  // namespace

TEST_CASE("on btrfs and xfs a volume shares its blocks with the image and is seen with the container's ids") {
    for (const std::string& kind : {std::string("btrfs"), std::string("xfs")}) {
        CAPTURE(kind);
        const std::string reason = why_not(kind);
        if (!reason.empty()) {
            say_skipped(reason);
            continue;
        }
        StorageWorld world;
        mount_below(world, kind);
        const std::string root = world.dir() + "/root";
        sh("mkdir -p " + root + "/bin && head -c 64M /dev/urandom > " + root + "/big && echo old > " + root +
           "/bin/sh && chown 7:8 " + root + "/bin/sh");
        world.must(Verb::create, "pool/default", pool_of("dir", world.state() + "/pools/default"));
        world.must(Verb::create, "image/debian", image_of("directory", root));
        const long before = used_megabytes(world.state());
        world.must(Verb::create, "volume/default/web", volume_of("debian", shifted));
        world.must(Verb::create, "volume/default/db", volume_of("debian", "none"));
        CHECK(used_megabytes(world.state()) - before < 32);

        const std::string web = world.volume_path("web");
        const auto record = drivers::parse_volume_record(read_file(web + "/volume.json").value());
        REQUIRE(record.has_value());
        CHECK(record->method == "reflink");
        CHECK(sh("stat -c '%u %g' " + web + "/rootfs/bin/sh") == "100007 100008");
        CHECK(sh("stat -c '%u %g' " + web + "/data/bin/sh") == "7 8");
        CHECK(sh("stat -c '%u %g' " + world.volume_path("db") + "/rootfs/bin/sh") == "7 8");

        sh("echo new > " + web + "/rootfs/bin/sh && chown 100009 " + web + "/rootfs/bin/sh");
        CHECK(sh("stat -c %u " + web + "/data/bin/sh") == "9");
        CHECK(sh("cat " + world.volume_path("db") + "/rootfs/bin/sh") == "old");
        sh("cmp " + root + "/big " + web + "/rootfs/big");

        sh("umount " + web + "/rootfs");
        CHECK(std::get<Volume>(world.observe("volume/default/web")->object).mounted == false);
        world.must(Verb::update, "volume/default/web", volume_of("debian", "0:300000:65536"));
        CHECK(sh("stat -c %u " + web + "/rootfs/bin/sh") == "300009");
        CHECK(sh("cat " + web + "/rootfs/bin/sh") == "new");
        for (const char* name : {"volume/default/web", "volume/default/db"}) world.must(Verb::remove, name, Volume{});
        CHECK(left_in(world.state() + "/pools/default") == "");
        CHECK(mounts_below(world.state()) == 0);
    }
}

TEST_CASE("a pool that gets full at any step of a clone is said to be full and keeps nothing half-made") {
    const std::string reason = enter_own_namespaces();
    CTL_SKIP_IF(!reason.empty(), reason);
    int refused = 0;
    int made = 0;
    // Each round leaves room for one file more, until the volume is made.
    for (int files = 4; files < 40 && made == 0; ++files) {
        CAPTURE(files);
        StorageWorld world;
        const std::string source = world.dir() + "/small";
        sh(fmt::format("mkdir {0} && mount -t tmpfs -o size=32m,nr_inodes={1} tmpfs {0}", source, files));
        if (!world.apply(Verb::create, "pool/small", pool_of("dir", source))) continue;
        world.must(Verb::create, "image/busybox", image_of("busybox"));
        const Status outcome = world.apply(Verb::create, "volume/small/web", volume_of("busybox", shifted));
        made += outcome.has_value() ? 1 : 0;
        if (outcome) continue;
        ++refused;
        CHECK_MESSAGE(outcome.error().code() == ErrorCode::no_space, outcome.error().str());
        CHECK(left_in(source) == "");
        CHECK(mounts_below(source) == 0);
        CHECK_FALSE(world.observe("volume/small/web").has_value());
        world.must(Verb::remove, "pool/small", pool_of("dir", source));
    }
    CHECK(refused > 2);
    CHECK(made == 1);
}

TEST_CASE("a copy that fills the pool is taken back") {
    const std::string reason = enter_own_namespaces();
    CTL_SKIP_IF(!reason.empty(), reason);
    StorageWorld world;
    // An overlay on a small tmpfs can neither carry an overlay's upper directory nor share blocks: the tree is copied.
    const std::string base = world.dir() + "/small";
    sh(
        fmt::format("mkdir {0} && mount -t tmpfs -o size=40m tmpfs {0} && mkdir {0}/l {0}/u {0}/w {0}/m && "
                    "mount -t overlay o -o lowerdir={0}/l,upperdir={0}/u,workdir={0}/w {0}/m",
                    base));
    const std::string source = base + "/m/pool";
    const std::string root = world.dir() + "/root";
    sh("mkdir -p " + root + "/bin && echo x > " + root + "/bin/sh && head -c 60M /dev/urandom > " + root + "/big");
    world.must(Verb::create, "pool/small", pool_of("dir", source));
    world.must(Verb::create, "image/big", image_of("directory", root));
    const Status outcome = world.apply(Verb::create, "volume/small/web", volume_of("big", shifted));
    REQUIRE_FALSE(outcome.has_value());
    CHECK_MESSAGE(outcome.error().code() == ErrorCode::no_space, outcome.error().str());
    CHECK(left_in(source) == "");
    CHECK(fs::space(base).available > (std::uintmax_t{38} << 20));
}
