#include <archive.h>
#include <archive_entry.h>
#include <doctest/doctest.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <vector>

#include "base/fd.h"
#include "base/file.h"
#include "base/tree.h"
#include "image_world.h"
#include "support/own_namespaces.h"
#include "support/skip.h"

using namespace ctl;
using namespace ctl::testing;
using diff::Verb;
using model::Image;
namespace fs = std::filesystem;

namespace {

std::string why_not() { return enter_own_namespaces(); }

struct Member {
    std::string name;
    mode_t type = AE_IFREG;
    std::string target;  ///< of a symbolic link, or with type 0 of a hard link
    std::string content;
    mode_t mode = 0755;
    la_int64_t uid = 0;
};

/// A gzipped tarball with these members, names as they are.
void write_tar(const std::string& path, const std::vector<Member>& members) {
    archive* out = archive_write_new();
    archive_write_set_format_gnutar(out);
    archive_write_add_filter_gzip(out);
    REQUIRE(archive_write_open_filename(out, path.c_str()) == ARCHIVE_OK);
    for (const auto& member : members) {
        archive_entry* entry = archive_entry_new();
        archive_entry_set_pathname(entry, member.name.c_str());
        archive_entry_set_perm(entry, member.mode);
        archive_entry_set_uid(entry, member.uid);
        archive_entry_set_mtime(entry, 1'000'000'000, 0);
        if (member.type == 0) archive_entry_set_hardlink(entry, member.target.c_str());
        else archive_entry_set_filetype(entry, member.type);
        if (member.type == AE_IFLNK) archive_entry_set_symlink(entry, member.target.c_str());
        if (member.type == AE_IFCHR) archive_entry_set_rdev(entry, makedev(1, 3));
        archive_entry_set_size(entry, static_cast<la_int64_t>(member.content.size()));
        REQUIRE(archive_write_header(out, entry) == ARCHIVE_OK);
        if (!member.content.empty()) archive_write_data(out, member.content.data(), member.content.size());
        archive_entry_free(entry);
    }
    archive_write_close(out);
    archive_write_free(out);
}

const Member shell{"bin/sh", AE_IFREG, "", "#!"};

std::vector<Member> with_shell(std::vector<Member> members) {
    members.insert(members.begin(), shell);
    return members;
}

Image tarball(StorageWorld& world, const std::vector<Member>& members) {
    write_tar(world.dir() + "/image.tar.gz", members);
    return image_of("tarball", world.dir() + "/image.tar.gz");
}

}  // namespace

TEST_CASE("the busybox image runs a shell, and making it again changes nothing") {
    CTL_SKIP_IF(!why_not().empty(), why_not());
    StorageWorld world;
    const Image wanted = image_of("busybox");
    CHECK(world.preflight("image/busybox", wanted).empty());
    world.must(Verb::create, "image/busybox", wanted);
    const std::string rootfs = rootfs_of(world, "image/busybox");
    CHECK(sh("chroot " + rootfs +
             " /bin/sh -c 'ls -l /sbin/init /sbin/udhcpc | wc -l && sh -n /etc/init.d/rcS && sh -n "
             "/etc/udhcpc/default.script'") == "2");
    const auto before = fs::last_write_time(world.state() + "/images/busybox/image.json");
    world.must(Verb::create, "image/busybox", wanted);
    CHECK(fs::last_write_time(world.state() + "/images/busybox/image.json") == before);
    CHECK(world.observe("image/busybox")->mark == model::Mark::complete);
    CHECK(world.observe("image/busybox")->owner.stack == "lab");
}

TEST_CASE("two names share one tree until the last of them goes") {
    CTL_SKIP_IF(!why_not().empty(), why_not());
    StorageWorld world;
    const Image wanted = image_of("busybox");
    world.must(Verb::create, "image/a", wanted);
    world.must(Verb::create, "image/b", wanted);
    const std::string rootfs = rootfs_of(world, "image/a");
    CHECK(rootfs == rootfs_of(world, "image/b"));
    world.must(Verb::remove, "image/a", Image{});
    CHECK(fs::exists(rootfs));
    world.must(Verb::remove, "image/b", Image{});
    CHECK_FALSE(fs::exists(rootfs));
    world.must(Verb::remove, "image/b", Image{});
}

TEST_CASE("a tarball keeps owners, modes, links and times, and is known by its own checksum") {
    CTL_SKIP_IF(!why_not().empty(), why_not());
    StorageWorld world;
    const Image wanted = tarball(world, with_shell({{"usr", AE_IFDIR, "", "", 0750, 7},
                                                    {"usr/su", AE_IFREG, "", "abc", 04755, 9},
                                                    {"usr/again", 0, "usr/su", ""},
                                                    {"lib", AE_IFLNK, "/usr/lib", ""},
                                                    {"usr/pipe", AE_IFIFO, "", ""},
                                                    {"dev/null", AE_IFCHR, "", ""},
                                                    {"usr/na\nme\xc3\xa4", AE_IFREG, "", "x"}}));
    world.must(Verb::create, "image/evil", wanted);
    const std::string rootfs = rootfs_of(world, "image/evil");
    CHECK(sh("stat -c '%a %u %Y' " + rootfs + "/usr") == "750 7 1000000000");
    CHECK(sh("stat -c '%a %u %h %Y' " + rootfs + "/usr/again") == "4755 9 2 1000000000");
    CHECK(fs::read_symlink(rootfs + "/lib") == "/usr/lib");
    CHECK(fs::is_fifo(rootfs + "/usr/pipe"));
    CHECK(fs::exists(rootfs + "/usr/na\nme\xc3\xa4"));
    CHECK_FALSE(fs::exists(rootfs + "/dev/null"));
    CHECK(rootfs.find(sh("sha256sum " + *wanted.source + " | cut -d' ' -f1")) != std::string::npos);
}

TEST_CASE("a member that would lead out of the root is refused and nothing outside is touched") {
    CTL_SKIP_IF(!why_not().empty(), why_not());
    StorageWorld world;
    const std::string outside = world.dir() + "/outside";
    fs::create_directory(outside);
    REQUIRE(write_file_atomically(outside + "/precious", "dear"));
    const Member link{"etc", AE_IFLNK, outside, ""};
    check_refused(world, tarball(world, with_shell({{outside + "/new", AE_IFREG, "", "x"}})), "absolute name");
    check_refused(world, tarball(world, with_shell({{"../../../../../../../.." + outside + "/new", AE_IFREG, "", "x"}})),
                  "leads upwards");
    check_refused(world, tarball(world, with_shell({{"a/../../new", AE_IFREG, "", "x"}})), "leads upwards");
    check_refused(world, tarball(world, with_shell({link, {"etc/precious", AE_IFREG, "", "x"}})), "symbolic link");
    check_refused(world, tarball(world, with_shell({link, {"etc/new/deep", AE_IFREG, "", "x"}})), "symbolic link");
    check_refused(world, tarball(world, with_shell({link, {"hard", 0, "etc/precious", ""}})), "symbolic link");
    check_refused(world, tarball(world, with_shell({{"hard", 0, outside + "/precious", ""}})), "absolute name");
    check_refused(world, tarball(world, with_shell({{"hard", 0, "../../../precious", ""}})), "leads upwards");
    CHECK(read_file(outside + "/precious").value() == "dear");
    CHECK(sh("ls " + outside) == "precious");
}

TEST_CASE("a member in a symbolic link's place replaces the link, not what it points to") {
    CTL_SKIP_IF(!why_not().empty(), why_not());
    StorageWorld world;
    REQUIRE(write_file_atomically(world.dir() + "/precious", "dear"));
    world.must(Verb::create, "image/evil",
               tarball(world, with_shell({{"a", AE_IFLNK, world.dir() + "/precious", ""},
                                          {"a", AE_IFREG, "", "new"},
                                          {"b", AE_IFLNK, world.dir(), ""},
                                          {"b", AE_IFDIR, "", ""},
                                          {"b/precious", AE_IFREG, "", "new"}})));
    CHECK(read_file(world.dir() + "/precious").value() == "dear");
    CHECK(read_file(rootfs_of(world, "image/evil") + "/a").value() == "new");
    CHECK(read_file(rootfs_of(world, "image/evil") + "/b/precious").value() == "new");
}

TEST_CASE("damaged, foreign and empty archives are refused") {
    CTL_SKIP_IF(!why_not().empty(), why_not());
    StorageWorld world;
    const std::string path = world.dir() + "/bad.tar";
    const Image image = image_of("tarball", path);
    REQUIRE(write_file_atomically(path, "this is no archive"));
    check_refused(world, image, "can't be read");
    REQUIRE(write_file_atomically(path, ""));
    check_refused(world, image, "bad.tar");
    write_tar(path, with_shell({{"big", AE_IFREG, "", sh("head -c 300000 /dev/urandom | base64")}}));
    const std::string whole = read_file(path).value();
    REQUIRE(write_file_atomically(path, whole.substr(0, whole.size() / 2)));
    check_refused(world, image, "can't be read");
    check_refused(world, tarball(world, {{"readme", AE_IFREG, "", "x"}}), "no root filesystem");
    check_refused(world, tarball(world, with_shell({{"x", AE_IFREG, "", "", 0755, 5'000'000'000}})), "out of range");
    std::string deep = "d";
    for (int i = 0; i < 200; ++i) deep += "/d";
    check_refused(world, tarball(world, with_shell({{deep, AE_IFREG, "", "x"}})), "levels");
}

TEST_CASE("a small archive of endless zeros is stopped early") {
    CTL_SKIP_IF(!why_not().empty(), why_not());
    StorageWorld world;
    fs::create_directories(world.dir() + "/out");
    const auto image = tarball(world, with_shell({{"zeros", AE_IFREG, "", std::string(8 << 20, '\0')}}));
    const Fd root = open_directory(world.dir() + "/out").value();
    drivers::image::UnpackLimits limits;
    limits.ratio_from = 1 << 20;
    const auto bomb = unpack(*image.source, root.get(), limits);
    REQUIRE_FALSE(bomb.has_value());
    CHECK(bomb.error().str().find("200 times its size") != std::string::npos);
    CHECK(fs::file_size(world.dir() + "/out/zeros") < (2 << 20));
    limits = {};
    limits.bytes = 1 << 20;
    sh("rm -r " + world.dir() + "/out/*");
    CHECK_FALSE(unpack(*image.source, root.get(), limits).has_value());
    limits = {};
    limits.entries = 1;
    sh("rm -r " + world.dir() + "/out/*");
    CHECK_FALSE(unpack(*image.source, root.get(), limits).has_value());
}

TEST_CASE("a unified tarball's rootfs is taken, whatever compressed it") {
    CTL_SKIP_IF(!why_not().empty(), why_not());
    for (const std::string& filter : {std::string("cat"), std::string("xz"), std::string("zstd -q"), std::string("bzip2")}) {
        CAPTURE(filter);
        StorageWorld world;
        const std::string base = world.dir() + "/image";
        write_tar(base + ".gz", {{"metadata.yaml", AE_IFREG, "", "architecture: x86_64\ncreation_date: 1\n"},
                                 {"rootfs/bin/sh", AE_IFREG, "", "#!"}});
        CTL_SKIP_IF(fs::exists("/usr/bin/" + filter.substr(0, filter.find(' '))) == false, "no " + filter);
        sh("gzip -dc " + base + ".gz | " + filter + " > " + base);
        world.must(Verb::create, "image/evil", image_of("tarball", base));
        CHECK(fs::exists(rootfs_of(world, "image/evil") + "/bin/sh"));
        CHECK_FALSE(fs::exists(rootfs_of(world, "image/evil") + "/metadata.yaml"));
    }
}

TEST_CASE("a directory is copied with its links and owners and known by what is in it") {
    CTL_SKIP_IF(!why_not().empty(), why_not());
    StorageWorld world;
    const std::string source = world.dir() + "/tree";
    sh("mkdir -p " + source + "/bin " + source + "/dev " + source + "/proc && cd " + source +
       " && echo x > bin/sh && ln bin/sh bin/ash && chown 3:4 bin/sh && chmod 4711 bin/sh && ln -s /etc/passwd link && "
       "mknod dev/null c 1 3 && truncate -s 1G sparse");
    sh("mount -t tmpfs t " + source + "/proc && touch " + source + "/proc/inside");
    const Image wanted = image_of("directory", source);
    world.must(Verb::create, "image/a", wanted);
    world.must(Verb::create, "image/b", wanted);
    const std::string rootfs = rootfs_of(world, "image/a");
    CHECK(rootfs == rootfs_of(world, "image/b"));
    CHECK(sh("stat -c '%a %u %g %h' " + rootfs + "/bin/ash") == "4711 3 4 2");
    CHECK(fs::is_symlink(rootfs + "/link"));
    CHECK_FALSE(fs::exists(rootfs + "/dev/null"));
    CHECK(fs::is_empty(rootfs + "/proc"));
    CHECK(sh("stat -c '%s %b' " + rootfs + "/sparse") == "1073741824 0");
    sh("echo y > " + source + "/bin/sh");
    world.must(Verb::create, "image/c", wanted);
    CHECK(rootfs != rootfs_of(world, "image/c"));
}

TEST_CASE("a fingerprint other than the declared one is an error that names both") {
    CTL_SKIP_IF(!why_not().empty(), why_not());
    StorageWorld world;
    Image wanted = tarball(world, {shell});
    const std::string real = sh("sha256sum " + *wanted.source + " | cut -d' ' -f1");
    wanted.fingerprint = std::string(64, 'a');
    check_refused(world, wanted, real);
    check_refused(world, wanted, *wanted.fingerprint);
    wanted.fingerprint = real;
    world.must(Verb::create, "image/evil", wanted);
}

TEST_CASE("what can't work is said before the first change") {
    CTL_SKIP_IF(!why_not().empty(), why_not());
    StorageWorld world;
    CHECK(world.preflight("image/x", image_of("tarball", world.dir() + "/missing")).size() == 1);
    CHECK(world.preflight("image/x", image_of("tarball", world.dir())).size() == 1);
    CHECK(world.preflight("image/x", image_of("directory", "relative")).size() == 1);
    CHECK(world.preflight("image/x", image_of("floppy", "/x")).size() == 1);
    CHECK(world.preflight("image/sha256", image_of("busybox")).size() == 1);
    CHECK(world.preflight("image/../x", image_of("busybox")).size() == 1);
    CHECK_FALSE(fs::exists(world.state()));
}

TEST_CASE("what an interrupted import left is cleaned up by the next") {
    CTL_SKIP_IF(!why_not().empty(), why_not());
    StorageWorld world;
    fs::create_directories(world.state() + "/images/sha256/.ctl-tmp-old/tree/etc");
    fs::create_directories(world.state() + "/images/.ctl-tmp-gone");
    fs::create_directories(world.state() + "/images/busybox");
    CHECK(world.observe_all().empty());
    world.must(Verb::create, "image/busybox", image_of("busybox"));
    CHECK_FALSE(fs::exists(world.state() + "/images/sha256/.ctl-tmp-old"));
    CHECK_FALSE(fs::exists(world.state() + "/images/.ctl-tmp-gone"));
}

TEST_CASE("an image of another stack is neither replaced nor deleted") {
    CTL_SKIP_IF(!why_not().empty(), why_not());
    StorageWorld world;
    world.must(Verb::create, "image/busybox", image_of("busybox"));
    sh("sed -i s/ctl:1:lab:/ctl:1:other:/ " + world.state() + "/images/busybox/image.json");
    CHECK(world.observe("image/busybox")->owner.stack == "other");
    CHECK(world.apply(Verb::create, "image/busybox", image_of("busybox")).error().code() == ErrorCode::conflict);
    CHECK(world.apply(Verb::remove, "image/busybox", Image{}).error().code() == ErrorCode::conflict);
    CHECK(world.observe("image/busybox").has_value());
}
