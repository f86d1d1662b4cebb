#include <doctest/doctest.h>
#include <fmt/format.h>

#include <fcntl.h>

#include <filesystem>

#include "base/fd.h"
#include "diff/restore.h"
#include "storage_world.h"
#include "support/own_namespaces.h"
#include "support/skip.h"

// Snapshots of volumes on every kind of tree that a volume can have.

using namespace ctl;
using namespace ctl::testing;
using diff::Verb;
using model::Mark;
using model::Pool;
using model::Snapshot;
using model::Volume;
namespace fs = std::filesystem;

namespace {

constexpr const char* shifted = "0:100000:65536";
constexpr const char* web = "volume/default/web";
constexpr const char* first = "snapshot/default/web@first";

std::string no_btrfs() {
    if (!fs::exists("/usr/sbin/mkfs.btrfs")) return "needs mkfs.btrfs";
    if (!fs::exists("/dev/loop-control")) return "needs loop devices";
    return sh("grep -cw btrfs /proc/filesystems || true") == "0" ? "this kernel has no btrfs" : std::string();
}

Snapshot made_at(const std::string& time) {
    Snapshot snapshot;
    snapshot.made = time;
    return snapshot;
}

Status restore(StorageWorld& world, const std::string& snapshot, const Volume& volume = volume_of("root", "none")) {
    diff::Change change = world.change(Verb::update, web, volume);
    change.fields.push_back(
        {std::string(diff::restored_field), std::nullopt, snapshot, model::Effect::restart, diff::Cause::changed, {}});
    std::optional<Status> outcome;
    world.driver_of(change.id.kind).apply({&change, 1}, [&](std::size_t, Status s) { outcome = std::move(s); }, {});
    REQUIRE(outcome.has_value());
    return std::move(*outcome);
}

/// The pool "default", an image "root" with /etc/old and /etc/doomed, and the volume "web" of it.
void make_web(StorageWorld& world, const std::string& driver, const std::string& idmap = "none") {
    Pool pool = pool_of(driver, world.state() + (driver == "dir" ? "/pools/default" : "/disks/default.img"));
    if (driver == "btrfs") pool.size = std::int64_t{256} << 20;
    world.must(Verb::create, "pool/default", pool);
    const std::string root = world.dir() + "/root";
    sh(
        fmt::format("mkdir -p {0}/etc/sub {0}/bin && echo image > {0}/etc/old && echo image > {0}/etc/doomed && "
                    "echo image > {0}/etc/sub/lower && echo image > {0}/bin/sh && chown 7:8 {0}/etc/old",
                    root));
    world.must(Verb::create, "image/root", image_of("directory", root));
    world.must(Verb::create, web, volume_of("root", idmap));
}

std::string files(const StorageWorld& world) { return world.volume_path("web") + "/rootfs"; }

/// What the volume shows: names, owners and contents.
std::string look(const StorageWorld& world) {
    return sh(
        fmt::format("cd {} && find . -exec stat -c '%n %F %u %g %a %s' {{}} + | grep -v '^\\. ' | sort && "
                    "cat $(find . -type f | sort)",
                    files(world)));
}

void change_before(const StorageWorld& world) {
    sh(
        fmt::format("cd {} && echo mine > etc/new && rm etc/doomed && rm -r etc/sub && mkdir etc/sub && "
                    "ln etc/new etc/linked && ln -s new etc/soft && chown 5:6 etc/new",
                    files(world)));
}

void change_after(const StorageWorld& world) {
    sh(fmt::format("cd {} && echo other > etc/new && echo back > etc/doomed && touch etc/late && rm etc/old", files(world)));
}

}  // namespace

TEST_CASE("a volume is put back as its snapshot has it, deletions and owners too") {
    const std::string reason = enter_own_namespaces();
    CTL_SKIP_IF(!reason.empty(), reason);
    for (const std::string driver : {"dir", "btrfs"}) {
        CAPTURE(driver);
        if (driver == "btrfs" && !no_btrfs().empty()) continue;
        StorageWorld world;
        make_web(world, driver);
        change_before(world);
        const std::string before = look(world);
        CHECK(before.find("mine") != std::string::npos);
        CHECK(before.find("doomed") == std::string::npos);
        world.must(Verb::create, first, made_at("2026-01-31T12:00:00.000Z"));
        const auto seen = world.observe(first);
        REQUIRE(seen.has_value());
        CHECK(seen->mark == Mark::complete);
        CHECK(seen->owner == model::ResourceRef{"lab", "Thing", "thing"});
        CHECK(std::get<Snapshot>(seen->object) == made_at("2026-01-31T12:00:00.000Z"));

        change_after(world);
        CHECK(look(world) != before);
        REQUIRE(restore(world, "first").has_value());
        CHECK(look(world) == before);
        CHECK(world.observe(web)->mark == Mark::complete);
        CHECK(std::get<Volume>(world.observe(web)->object).mounted == true);
        // It can be put back as often as one likes.
        change_after(world);
        REQUIRE(restore(world, "first").has_value());
        CHECK(look(world) == before);

        world.must(Verb::remove, web, Volume{});
        CHECK(sh("ls -A " + world.state() + "/pools/default/containers").empty());
        CHECK_FALSE(world.observe(first).has_value());
        if (driver == "btrfs") CHECK(sh("btrfs subvolume list " + world.state() + "/pools/default | wc -l") == "1");
        world.must(Verb::remove, "image/root", model::Image{});
        world.must(Verb::remove, "pool/default", Pool{});
    }
}

TEST_CASE("a snapshot is made once, kept for as long as is said, and deleted without its volume") {
    const std::string reason = enter_own_namespaces();
    CTL_SKIP_IF(!reason.empty(), reason);
    StorageWorld world;
    make_web(world, "dir");
    Snapshot snapshot = made_at("2026-01-31T12:00:00.000Z");
    world.must(Verb::create, first, snapshot);
    world.must(Verb::create, first, snapshot);
    CHECK(world.apply(Verb::create, first, made_at("2027-01-31T12:00:00.000Z")).error().code() == ErrorCode::conflict);
    snapshot.expires = "2026-02-28T12:00:00.000Z";
    world.must(Verb::update, first, snapshot);
    CHECK(std::get<Snapshot>(world.observe(first)->object) == snapshot);
    CHECK(world.apply(Verb::create, "snapshot/default/none@first", snapshot).error().code() == ErrorCode::conflict);
    CHECK(restore(world, "second").error().code() == ErrorCode::not_found);
    CHECK(world.preflight("snapshot/default/web@", snapshot).size() == 1);
    CHECK(world.preflight("snapshot/default/web@..", snapshot).size() == 1);
    world.must(Verb::remove, first, Snapshot{});
    world.must(Verb::remove, first, Snapshot{});
    CHECK_FALSE(world.observe(first).has_value());
    CHECK(world.observe(web).has_value());
}

TEST_CASE("nobody writes to a snapshot on btrfs, and a volume that is put back keeps its limit") {
    const std::string reason = enter_own_namespaces();
    CTL_SKIP_IF(!reason.empty(), reason);
    CTL_SKIP_IF(!no_btrfs().empty(), no_btrfs());
    StorageWorld world;
    make_web(world, "btrfs");
    Volume volume = volume_of("root", "none");
    volume.size = std::int64_t{64} << 20;
    world.must(Verb::update, web, volume);
    world.must(Verb::create, first, made_at("2026-01-31T12:00:00.000Z"));
    const std::string kept = world.volume_path("web") + "/snapshots/first/data";
    CHECK(sh("touch " + kept + "/file 2>&1 || true").find("Read-only") != std::string::npos);
    REQUIRE(restore(world, "first").has_value());
    CHECK(std::get<Volume>(world.observe(web)->object).size == volume.size);
    CHECK(sh("touch " + files(world) + "/file && echo written") == "written");
}

TEST_CASE("a snapshot is put back with the ids that the volume has now") {
    const std::string reason = enter_own_namespaces();
    CTL_SKIP_IF(!reason.empty(), reason);
    for (const std::string driver : {"dir", "btrfs"}) {
        CAPTURE(driver);
        if (driver == "btrfs" && !no_btrfs().empty()) continue;
        StorageWorld world;
        make_web(world, driver, shifted);
        sh("setpriv --reuid 100000 --regid 100000 --clear-groups touch " + files(world) + "/new");
        world.must(Verb::create, first, made_at("2026-01-31T12:00:00.000Z"));
        const Volume moved = volume_of("root", "0:300000:65536");
        world.must(Verb::update, web, moved);
        REQUIRE(restore(world, "first", moved).has_value());
        CHECK(sh("stat -c '%u %g' " + files(world) + "/new") == "300000 300000");
        CHECK(sh("stat -c '%u %g' " + files(world) + "/etc/old") == "300007 300008");
    }
}

TEST_CASE("a volume in use is not put back and stays as it is") {
    const std::string reason = enter_own_namespaces();
    CTL_SKIP_IF(!reason.empty(), reason);
    StorageWorld world;
    make_web(world, "dir");
    world.must(Verb::create, first, made_at("2026-01-31T12:00:00.000Z"));
    sh("echo kept > " + files(world) + "/file");
    const Fd used(::open(files(world).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    CHECK(restore(world, "first").error().code() == ErrorCode::conflict);
    CHECK(sh("cat " + files(world) + "/file") == "kept");
}

TEST_CASE("what an interrupted run left beside a volume or its snapshots goes with the next change in the pool") {
    const std::string reason = enter_own_namespaces();
    CTL_SKIP_IF(!reason.empty(), reason);
    for (const std::string driver : {"dir", "btrfs"}) {
        CAPTURE(driver);
        if (driver == "btrfs" && !no_btrfs().empty()) continue;
        StorageWorld world;
        make_web(world, driver);
        world.must(Verb::create, first, made_at("2026-01-31T12:00:00.000Z"));
        const std::string path = world.volume_path("web");
        const std::string copy = driver == "btrfs" ? "btrfs subvolume snapshot -r " : "cp -a ";
        sh(fmt::format(
            "mkdir {0}/snapshots/.ctl-tmp-half && {1}{0}/snapshots/first/data {0}/snapshots/.ctl-tmp-half/data && "
            "{1}{0}/snapshots/first/data {0}/.ctl-tmp-restored",
            path, copy));
        world.must(Verb::create, "snapshot/default/web@second", made_at("2026-01-31T13:00:00.000Z"));
        CHECK(sh(fmt::format("ls -A {0}/snapshots; ls -A {0} | grep ctl-tmp || true", path)) == "first\nsecond");
    }
}
