#include <doctest/doctest.h>
#include <stdlib.h>

#include <atomic>
#include <filesystem>

#include "base/file.h"
#include "storage_world.h"
#include "support/own_namespaces.h"
#include "support/skip.h"

using namespace ctl;
using namespace ctl::testing;
using diff::Verb;
using model::Mark;
using model::Pool;
using model::Volume;
namespace fs = std::filesystem;

namespace {

constexpr const char* shifted = "0:100000:65536";

std::string why_not() { return enter_own_namespaces(); }

Volume seen_volume(StorageWorld& world, const std::string& id) {
    const auto entry = world.observe(id);
    REQUIRE(entry.has_value());
    return std::get<Volume>(entry->object);
}

/// Programs in a directory come before all others.
class ChangedPath {
public:
    explicit ChangedPath(const std::string& first) : before_(::getenv("PATH")) {
        ::setenv("PATH", (first + ":" + before_).c_str(), 1);
    }
    ChangedPath(const ChangedPath&) = delete;
    ChangedPath& operator=(const ChangedPath&) = delete;
    ~ChangedPath() { ::setenv("PATH", before_.c_str(), 1); }

private:
    std::string before_;
};

/// A file system without idmapped mounts or overlay uppers is hard to come by; a directory on overlay has neither.
std::string make_overlay_dir(StorageWorld& world) {
    const std::string base = world.dir() + "/odd";
    sh("mkdir -p " + base + "/l " + base + "/u " + base + "/w " + base + "/m && mount -t overlay o -o lowerdir=" + base +
       "/l,upperdir=" + base + "/u,workdir=" + base + "/w " + base + "/m");
    return base + "/m";
}

}  // namespace

TEST_CASE("nothing is observed where nothing is") {
    CTL_SKIP_IF(!why_not().empty(), why_not());
    StorageWorld world;
    CHECK(world.observe_all().empty());
}

TEST_CASE("a pool is made, seen as ours, made again without change, and removed without a trace") {
    CTL_SKIP_IF(!why_not().empty(), why_not());
    StorageWorld world;
    const Pool pool = pool_of("dir", world.state() + "/pools/default");
    CHECK(world.preflight("pool/default", pool).empty());
    world.must(Verb::create, "pool/default", pool);
    world.must(Verb::create, "pool/default", pool);
    const auto seen = world.observe("pool/default");
    REQUIRE(seen.has_value());
    CHECK(std::get<Pool>(seen->object) == pool);
    CHECK(seen->mark == Mark::complete);
    CHECK(seen->owner.stack == "lab");
    world.must(Verb::remove, "pool/default", pool);
    CHECK_FALSE(world.observe("pool/default").has_value());
    CHECK_FALSE(fs::exists(*pool.source));
}

TEST_CASE("a pool elsewhere leaves files of others alone") {
    CTL_SKIP_IF(!why_not().empty(), why_not());
    StorageWorld world;
    const std::string source = world.dir() + "/disk, 1:x";
    world.must(Verb::create, "pool/big", pool_of("dir", source));
    REQUIRE(write_file_atomically(source + "/letter", "dear"));
    CHECK(std::get<Pool>(world.observe("pool/big")->object).source == source);
    world.must(Verb::create, "image/busybox", image_of("busybox"));
    world.must(Verb::create, "volume/big/web", volume_of("busybox", shifted));
    CHECK(fs::exists(source + "/containers/web/rootfs/bin/busybox"));
    CHECK(world.apply(Verb::remove, "pool/big", pool_of("dir", source)).error().code() == ErrorCode::conflict);
    world.must(Verb::remove, "volume/big/web", Volume{});
    world.must(Verb::remove, "pool/big", pool_of("dir", source));
    CHECK(fs::exists(source + "/letter"));
    CHECK_FALSE(fs::exists(source + "/containers"));
    CHECK_FALSE(fs::exists(source + "/.ctl-pool"));
    CHECK_FALSE(fs::is_symlink(world.state() + "/pools/big"));
}

TEST_CASE("a directory with containers of somebody else does not become a pool") {
    CTL_SKIP_IF(!why_not().empty(), why_not());
    StorageWorld world;
    const std::string source = world.dir() + "/theirs";
    fs::create_directories(source + "/containers/web");
    CHECK(world.preflight("pool/big", pool_of("dir", source)).size() == 1);
    CHECK(world.apply(Verb::create, "pool/big", pool_of("dir", source)).error().code() == ErrorCode::conflict);
    CHECK_FALSE(fs::exists(source + "/.ctl-pool"));
    CHECK(fs::exists(source + "/containers/web"));
}

TEST_CASE("a directory with files of others does not become a pool, a new file system does") {
    CTL_SKIP_IF(!why_not().empty(), why_not());
    StorageWorld world;
    const std::string source = world.dir() + "/disk";
    fs::create_directories(source + "/lost+found");
    REQUIRE(write_file_atomically(source + "/letter", "dear"));
    const auto refused = world.preflight("pool/big", pool_of("dir", source));
    REQUIRE(refused.size() == 1);
    CHECK(refused.front().code() == ErrorCode::conflict);
    CHECK(refused.front().str().find("letter") != std::string::npos);
    CHECK(world.apply(Verb::create, "pool/big", pool_of("dir", source)).error().code() == ErrorCode::conflict);
    CHECK_FALSE(fs::exists(source + "/.ctl-pool"));
    fs::remove(source + "/letter");
    world.must(Verb::create, "pool/big", pool_of("dir", source));
    world.must(Verb::remove, "pool/big", pool_of("dir", source));
    CHECK(fs::exists(source + "/lost+found"));
}

TEST_CASE("a pool's directory that an interrupted run was making or deleting does not stay behind") {
    CTL_SKIP_IF(!why_not().empty(), why_not());
    for (const std::string& place : {std::string("disk"), std::string("state/pools/big")}) {
        CAPTURE(place);
        StorageWorld world;
        const std::string source = world.dir() + "/" + place;
        const std::string aside =
            fs::path(source).parent_path().string() + "/.ctl-tmp-" + fs::path(source).filename().string();
        fs::create_directories(aside);
        sh("touch " + path_aside(aside + "/.ctl-pool").native());
        if (place != "disk") {
            world.must(Verb::remove, "pool/big", pool_of("dir", source));
            CHECK_FALSE(fs::exists(aside));
        }
        world.must(Verb::create, "pool/big", pool_of("dir", source));
        CHECK_FALSE(fs::exists(aside));
        fs::remove(source + "/containers");
        fs::rename(source, aside);
        world.must(Verb::create, "pool/big", pool_of("dir", source));
        CHECK_FALSE(fs::exists(aside));
        fs::remove(source + "/containers");
        fs::rename(source, aside);
        fs::remove(aside + "/.ctl-pool");
        if (place == "disk") world.must(Verb::remove, "pool/big", pool_of("dir", source));
        else world.must(Verb::create, "pool/big", pool_of("dir", source));
        CHECK_FALSE(fs::exists(aside));
        world.must(Verb::remove, "pool/big", pool_of("dir", source));
        CHECK_FALSE(fs::exists(source));
    }
}

TEST_CASE("a pool whose removal was interrupted is seen as half-made, and made whole again") {
    CTL_SKIP_IF(!why_not().empty(), why_not());
    StorageWorld world;
    const Pool pool = pool_of("dir", world.state() + "/pools/default");
    world.must(Verb::create, "pool/default", pool);
    fs::remove(*pool.source + "/containers");
    CHECK(world.observe("pool/default").value().mark == Mark::begun);
    world.must(Verb::create, "pool/default", pool);
    CHECK(world.observe("pool/default").value().mark == Mark::complete);
    world.must(Verb::remove, "pool/default", pool);
}

TEST_CASE("a pool on a file is refused before the first change") {
    CTL_SKIP_IF(!why_not().empty(), why_not());
    StorageWorld world;
    REQUIRE(write_file_atomically(world.dir() + "/file", ""));
    CHECK(world.preflight("pool/big", pool_of("dir", world.dir() + "/file/below")).size() == 1);
    CHECK(world.preflight("pool/big", pool_of("dir", "relative")).size() == 1);
    CHECK(world.preflight("pool/big", pool_of("zfs", "/x")).size() == 1);
}

TEST_CASE("a clone shows the container's ids and writing to it leaves the image alone") {
    CTL_SKIP_IF(!why_not().empty(), why_not());
    for (const std::string& idmap : {std::string("none"), std::string(shifted)}) {
        CAPTURE(idmap);
        StorageWorld world;
        world.make_pool_and_busybox();
        world.must(Verb::create, "volume/default/web", volume_of("busybox", idmap));
        world.must(Verb::create, "volume/default/db", volume_of("busybox", idmap));
        const std::string rootfs = world.volume_path("web") + "/rootfs";
        const std::string root = idmap == "none" ? "0 0" : "100000 100000";
        CHECK(sh("stat -c '%u %g' " + rootfs) == root);
        CHECK(sh("stat -c '%u %g' " + rootfs + "/bin/busybox") == root);
        CHECK(sh("stat -c %a " + rootfs + "/tmp") == "1777");
        CHECK(sh("chroot --userspec=" + root.substr(0, root.find(' ')) + ":" + root.substr(root.find(' ') + 1) + " " +
                 rootfs + " /bin/sh -c 'echo mine >/etc/hostname && rm /etc/hosts && cat /etc/hostname'") == "mine");
        CHECK_FALSE(fs::exists(rootfs + "/etc/hosts"));
        CHECK(fs::exists(world.volume_path("db") + "/rootfs/etc/hosts"));
        CHECK_FALSE(fs::exists(world.volume_path("db") + "/rootfs/etc/hostname"));
        CHECK(mounts_below(world.dir()) == 2);
    }
}

TEST_CASE("a volume that is not mounted is seen so and mounted again with what was written to it") {
    CTL_SKIP_IF(!why_not().empty(), why_not());
    StorageWorld world;
    world.make_pool_and_busybox();
    const Volume wanted = volume_of("busybox", shifted);
    world.must(Verb::create, "volume/default/web", wanted);
    CHECK(seen_volume(world, "volume/default/web") == wanted);
    sh("echo kept > " + world.volume_path("web") + "/rootfs/etc/kept");
    sh("umount " + world.volume_path("web") + "/rootfs");
    CHECK(seen_volume(world, "volume/default/web").mounted == false);
    world.must(Verb::update, "volume/default/web", wanted);
    CHECK(seen_volume(world, "volume/default/web").mounted == true);
    CHECK(sh("cat " + world.volume_path("web") + "/rootfs/etc/kept") == "kept");
    world.must(Verb::update, "volume/default/web", wanted);
    world.must(Verb::create, "volume/default/web", wanted);
    CHECK(mounts_below(world.dir()) == 1);
}

TEST_CASE("another id map changes how the same files are seen and keeps set-id bits and capabilities") {
    CTL_SKIP_IF(!why_not().empty(), why_not());
    StorageWorld world;
    world.make_pool_and_busybox();
    world.must(Verb::create, "volume/default/web", volume_of("busybox", shifted));
    const std::string rootfs = world.volume_path("web") + "/rootfs";
    sh("cp " + rootfs + "/bin/busybox " + rootfs + "/bin/helper && chown 100000:100005 " + rootfs +
       "/bin/helper && chmod 4755 " + rootfs + "/bin/helper");
    sh("ln " + rootfs + "/bin/helper " + rootfs + "/bin/helper2");
    sh("chown 5 " + rootfs + "/etc/hosts");
    for (const std::string& idmap : {std::string("0:300000:65536"), std::string("none"), std::string(shifted)}) {
        CAPTURE(idmap);
        world.must(Verb::update, "volume/default/web", volume_of("busybox", idmap));
        const std::string base = idmap == "none" ? "0" : idmap.substr(2, 6);
        CHECK(sh("stat -c '%u %g %a %h' " + rootfs + "/bin/helper") ==
              base + " " + (base == "0" ? "5" : base.substr(0, 5) + "5") + " 4755 2");
        CHECK(sh("stat -c %u " + rootfs + "/etc/passwd") == base);
        CHECK(sh("stat -c %u " + rootfs) == base);
        CHECK(seen_volume(world, "volume/default/web") == volume_of("busybox", idmap));
    }
}

TEST_CASE("an overlapping id map is refused and nothing changes") {
    CTL_SKIP_IF(!why_not().empty(), why_not());
    StorageWorld world;
    world.make_pool_and_busybox();
    world.must(Verb::create, "volume/default/web", volume_of("busybox", shifted));
    CHECK(world.apply(Verb::update, "volume/default/web", volume_of("busybox", "0:100001:65536")).error().code() ==
          ErrorCode::unsupported);
    CHECK(seen_volume(world, "volume/default/web") == volume_of("busybox", shifted));
}

TEST_CASE("a busy volume is not mounted anew under its user") {
    CTL_SKIP_IF(!why_not().empty(), why_not());
    StorageWorld world;
    world.make_pool_and_busybox();
    world.must(Verb::create, "volume/default/web", volume_of("busybox", shifted));
    const fs::path before = fs::current_path();
    fs::current_path(world.volume_path("web") + "/rootfs/etc");
    const auto outcome = world.apply(Verb::update, "volume/default/web", volume_of("busybox", "none"));
    fs::current_path(before);
    CHECK(outcome.error().code() == ErrorCode::conflict);
    CHECK(seen_volume(world, "volume/default/web") == volume_of("busybox", shifted));
}

TEST_CASE("where neither overlay nor idmapped mounts work the tree is copied with shifted owners") {
    CTL_SKIP_IF(!why_not().empty(), why_not());
    StorageWorld world;
    const std::string source = make_overlay_dir(world) + "/pool";
    world.must(Verb::create, "pool/odd", pool_of("dir", source));
    world.must(Verb::create, "image/busybox", image_of("busybox"));
    world.must(Verb::create, "volume/odd/web", volume_of("busybox", shifted));
    const std::string rootfs = source + "/containers/web/rootfs";
    CHECK(sh("stat -c '%u %g %a' " + rootfs + "/tmp") == "100000 100000 1777");
    CHECK(seen_volume(world, "volume/odd/web") == volume_of("busybox", shifted));
    sh("umount " + rootfs);
    CHECK(seen_volume(world, "volume/odd/web").mounted == false);
    world.must(Verb::update, "volume/odd/web", volume_of("busybox", "none"));
    CHECK(sh("stat -c '%u %a' " + rootfs + "/tmp") == "0 1777");
    world.must(Verb::remove, "volume/odd/web", Volume{});
    CHECK_FALSE(fs::exists(source + "/containers/web"));
}

TEST_CASE("a removed volume leaves nothing, whatever the container made in it") {
    CTL_SKIP_IF(!why_not().empty(), why_not());
    StorageWorld world;
    world.make_pool_and_busybox();
    world.must(Verb::create, "volume/default/web", volume_of("busybox", shifted));
    const std::string rootfs = world.volume_path("web") + "/rootfs";
    const std::string outside = world.dir() + "/outside";
    fs::create_directory(outside);
    REQUIRE(write_file_atomically(outside + "/precious", "x"));
    sh("ln -s " + outside + " " + rootfs + "/link && mkfifo " + rootfs + "/fifo && mkdir " + rootfs + "/mnt/a");
    sh("mount -t tmpfs t " + rootfs + "/mnt/a && mkdir " + rootfs + "/mnt/a/b && mount --bind " + outside + " " + rootfs +
       "/mnt/a/b");
    sh("cd " + rootfs + " && i=0; while [ $i -lt 300 ]; do mkdir d && cd -P d; i=$((i+1)); done");
    world.must(Verb::remove, "volume/default/web", Volume{});
    CHECK_FALSE(fs::exists(world.volume_path("web")));
    CHECK(mounts_below(world.dir()) == 0);
    CHECK(fs::exists(outside + "/precious"));
    CHECK(fs::is_empty(world.state() + "/pools/default/containers"));
    world.must(Verb::remove, "volume/default/web", Volume{});
}

TEST_CASE("what an interrupted run left is cleaned up by the next") {
    CTL_SKIP_IF(!why_not().empty(), why_not());
    StorageWorld world;
    world.make_pool_and_busybox();
    const std::string containers = world.state() + "/pools/default/containers";
    fs::create_directories(containers + "/.ctl-tmp-web/upper/etc");
    fs::create_directories(containers + "/.ctl-tmp-web/lower");
    fs::create_directories(containers + "/.ctl-tmp-old");
    sh("mount --bind /tmp " + containers + "/.ctl-tmp-web/lower");
    CHECK(world.observe_all().size() == 2);
    world.must(Verb::create, "volume/default/web", volume_of("busybox", shifted));
    CHECK(seen_volume(world, "volume/default/web").mounted == true);
    CHECK_FALSE(fs::exists(containers + "/.ctl-tmp-web"));
    CHECK_FALSE(fs::exists(containers + "/.ctl-tmp-old"));
    CHECK(fs::exists(world.dir()));
}

TEST_CASE("an id shift that was cut short is ended by the next run") {
    CTL_SKIP_IF(!why_not().empty(), why_not());
    StorageWorld world;
    world.make_pool_and_busybox();
    world.must(Verb::create, "volume/default/web", volume_of("busybox", shifted));
    const std::string path = world.volume_path("web");
    sh("touch " + path + "/rootfs/a " + path + "/rootfs/b && chown 100007 " + path + "/rootfs/a " + path + "/rootfs/b");
    sh("umount " + path + "/rootfs && chown 300007 " + path + "/upper/a");
    sh("sed -i 's/\"shifting_to\": \"\"/\"shifting_to\": \"0:300000:65536\"/; s/\"idmap\": \"[^\"]*\"/\"idmap\": "
       "\"0:300000:65536\"/' " +
       path + "/volume.json");
    CHECK(seen_volume(world, "volume/default/web").mounted == false);
    world.must(Verb::update, "volume/default/web", volume_of("busybox", "0:300000:65536"));
    CHECK(sh("stat -c %u " + path + "/rootfs/a") == "300007");
    CHECK(sh("stat -c %u " + path + "/rootfs/b") == "300007");
}

TEST_CASE("a directory in a volume's place that is not ours is neither used nor deleted") {
    CTL_SKIP_IF(!why_not().empty(), why_not());
    StorageWorld world;
    world.make_pool_and_busybox();
    fs::create_directories(world.volume_path("web") + "/rootfs");
    CHECK(world.observe("volume/default/web")->mark == Mark::none);
    CHECK(world.apply(Verb::create, "volume/default/web", volume_of("busybox", shifted)).error().code() ==
          ErrorCode::conflict);
    CHECK(world.apply(Verb::remove, "volume/default/web", Volume{}).error().code() == ErrorCode::conflict);
    CHECK(fs::exists(world.volume_path("web") + "/rootfs"));
}

TEST_CASE("a volume whose directory was copied is not taken for ours") {
    CTL_SKIP_IF(!why_not().empty(), why_not());
    StorageWorld world;
    world.make_pool_and_busybox();
    world.must(Verb::create, "volume/default/web", volume_of("busybox", "none"));
    fs::create_directory(world.volume_path("copy"));
    fs::copy_file(world.volume_path("web") + "/volume.json", world.volume_path("copy") + "/volume.json");
    CHECK(world.observe("volume/default/web")->mark == Mark::complete);
    CHECK(world.observe("volume/default/copy")->mark == Mark::none);
}

TEST_CASE("a volume without pool or image says what is missing and leaves nothing") {
    CTL_SKIP_IF(!why_not().empty(), why_not());
    StorageWorld world;
    CHECK(world.apply(Verb::create, "volume/default/web", volume_of("busybox", shifted)).error().code() ==
          ErrorCode::not_found);
    world.make_pool_and_busybox();
    const auto outcome = world.apply(Verb::create, "volume/default/web", volume_of("debian", shifted));
    CHECK(outcome.error().str().find("there is no image \"debian\"") != std::string::npos);
    CHECK(fs::is_empty(world.state() + "/pools/default/containers"));
    CHECK(world.apply(Verb::create, "volume/default/../x", volume_of("busybox", shifted)).error().code() ==
          ErrorCode::invalid);
}

TEST_CASE("a forgotten volume stays and is nobody's until it is adopted") {
    CTL_SKIP_IF(!why_not().empty(), why_not());
    StorageWorld world;
    world.make_pool_and_busybox();
    world.must(Verb::create, "volume/default/web", volume_of("busybox", shifted));
    world.must(Verb::forget, "volume/default/web", Volume{});
    CHECK(world.observe("volume/default/web")->mark == Mark::none);
    world.must(Verb::adopt, "volume/default/web", volume_of("busybox", shifted));
    CHECK(world.observe("volume/default/web")->mark == Mark::complete);
}

TEST_CASE("a deleted image lives on under the clones that need it") {
    CTL_SKIP_IF(!why_not().empty(), why_not());
    StorageWorld world;
    world.make_pool_and_busybox();
    world.must(Verb::create, "volume/default/web", volume_of("busybox", shifted));
    world.must(Verb::remove, "image/busybox", model::Image{});
    CHECK_FALSE(world.observe("image/busybox").has_value());
    sh("umount " + world.volume_path("web") + "/rootfs");
    world.must(Verb::update, "volume/default/web", volume_of("busybox", shifted));
    CHECK(fs::exists(world.volume_path("web") + "/rootfs/bin/busybox"));
    world.must(Verb::remove, "volume/default/web", Volume{});
    CHECK(fs::is_empty(world.state() + "/images/sha256"));
}

TEST_CASE("a hundred clones, made as one batch, are all ready and all go again") {
    CTL_SKIP_IF(!why_not().empty(), why_not());
    StorageWorld world;
    world.make_pool_and_busybox();
    const auto batch = [&](Verb verb) {
        std::vector<diff::Change> changes;
        for (int i = 0; i < 100; ++i)
            changes.push_back(world.change(verb, "volume/default/c" + std::to_string(i), volume_of("busybox", shifted)));
        std::atomic<int> done = 0;
        world.driver_of(model::ObjectKind::volume)
            .apply(changes, [&](std::size_t, Status status) { done += status ? 1 : 0; }, {});
        return done.load();
    };
    CHECK(batch(Verb::create) == 100);
    const auto seen = world.observe_all();
    CHECK(seen.size() == 102);
    for (const auto& [id, entry] : seen)
        if (const auto* volume = std::get_if<Volume>(&entry.object)) CHECK(volume->mounted == true);
    CHECK(batch(Verb::remove) == 100);
    CHECK(mounts_below(world.dir()) == 0);
}

TEST_CASE("a pool whose tools fail is not ready, and keeps nobody from seeing the others") {
    CTL_SKIP_IF(!why_not().empty(), why_not());
    StorageWorld world;
    world.make_pool_and_busybox();
    world.must(Verb::create, "volume/default/web", volume_of("busybox", shifted));
    const std::string place = world.state() + "/pools/sick";
    world.must(Verb::create, "pool/sick", pool_of("dir", place));
    sh("sed -i 3s/dir/ceph/ " + place + "/.ctl-pool && mkdir " + place + "/containers/db && cp " + world.volume_path("web") +
       "/volume.json " + place + "/containers/db");
    REQUIRE(write_file_atomically(place + "/.ctl-store", "pool=sick\ndriver=ceph\nsource=sick\nready=yes\n").has_value());
    const std::string bin = world.dir() + "/bin";
    sh("mkdir " + bin + " && printf '#!/bin/sh\necho asked >> " + bin + "/asked; echo no monitor answers >&2; exit 1\n' > " +
       bin + "/ceph && chmod +x " + bin + "/ceph && cp " + bin + "/ceph " + bin + "/rbd");
    const ChangedPath path(bin);

    const auto sick = [&] {
        const auto all = world.observe_all();
        CHECK(all.at({model::ObjectKind::volume, "default/web"}).mark == Mark::complete);
        CHECK_FALSE(std::get<Volume>(all.at({model::ObjectKind::volume, "sick/db"}).object).size.has_value());
        return all.at({model::ObjectKind::pool, "sick"});
    };
    const Pool wanted = pool_of("ceph", "sick");
    const auto seen = sick();
    CHECK(seen.mark == Mark::complete);
    CHECK(seen.owner.stack == "lab");
    CHECK(std::get<Pool>(seen.object).source == "sick");
    CHECK(std::get<Pool>(seen.object).mounted == false);
    const Status outcome = world.apply(Verb::update, "pool/sick", wanted);
    REQUIRE_FALSE(outcome.has_value());
    CHECK(outcome.error().str().find("no monitor answers") != std::string::npos);

    // Who asks for something else doesn't wait for its tools.
    fs::remove(bin + "/asked");
    CHECK(world.observe("pool/default").has_value());
    CHECK(seen_volume(world, "volume/default/web").mounted == true);
    CHECK_FALSE(fs::exists(bin + "/asked"));

    sh("echo nonsense > " + place + "/.ctl-store");
    const auto damaged = sick();
    CHECK(damaged.owner.stack == "lab");
    CHECK(std::get<Pool>(damaged.object).mounted == false);
    const auto faults = world.preflight("pool/sick", wanted);
    REQUIRE(faults.size() == 1);
    CHECK(faults.front().str().find("damaged") != std::string::npos);
}
