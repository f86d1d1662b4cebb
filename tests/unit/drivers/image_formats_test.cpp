#include <doctest/doctest.h>
#include <fmt/format.h>

#include <filesystem>
#include <fstream>

#include "base/file.h"
#include "base/text.h"
#include "image_world.h"
#include "support/own_namespaces.h"
#include "support/skip.h"

// Images as LXD exports them: in one tarball, or metadata in one file and the root filesystem in another.

using namespace ctl;
using namespace ctl::testing;
using diff::Verb;
using model::Image;
namespace fs = std::filesystem;

namespace {

std::string why_not() {
    if (const auto why = enter_own_namespaces(); !why.empty()) return why;
    for (const auto* program : {"/usr/bin/gensquashfs", "/usr/bin/sqfs2tar"})
        if (!fs::exists(program)) return std::string("no ") + program;
    return "";
}

constexpr const char* metadata = R"(architecture: x86_64
creation_date: 1700000000
properties: {os: Debian, release: bookworm}
templates:
  /etc/hostname: {when: [create, copy], template: hostname.tpl}
)";

/// World with the parts of an image below DIR/parts: metadata.yaml, templates/hostname.tpl and rootfs/.
class Parts {
public:
    explicit Parts(const std::string& yaml = metadata) {
        dir_ = world_.dir() + "/parts";
        sh(fmt::format(
            "mkdir -p {0}/templates {0}/rootfs/bin {0}/rootfs/etc && cd {0} && echo '{{{{ container.name }}}}' > "
            "templates/hostname.tpl && echo '#!' > rootfs/bin/sh && chown 5:6 rootfs/bin/sh && chmod 4755 "
            "rootfs/bin/sh && ln -s bin/sh rootfs/link && ln rootfs/bin/sh rootfs/hard",
            dir_));
        std::ofstream(dir_ + "/metadata.yaml") << yaml;
    }

    /// Output of a line of shell in DIR/parts.
    std::string here(const std::string& script) const { return sh(fmt::format("cd {} && {}", dir_, script)); }
    [[nodiscard]] std::string path(const std::string& file) const { return dir_ + "/" + file; }
    StorageWorld& world() { return world_; }

    [[nodiscard]] Image one(const std::string& file) const { return image_of("file", path(file)); }
    [[nodiscard]] Image two(const std::string& first, const std::string& second) const {
        return image_of("file", path(first), {{"rootfs", path(second)}});
    }

private:
    StorageWorld world_;
    std::string dir_;
};

std::string fingerprint_of(StorageWorld& world, const std::string& id) {
    const auto entry = world.observe(id);
    REQUIRE(entry.has_value());
    return std::get<Image>(entry->object).fingerprint.value();
}

/// The root filesystem as it was packed, its description beside it.
void check_whole(StorageWorld& world) {
    const std::string root = rootfs_of(world, "image/web");
    CHECK(sh("cd " + root + " && stat -c '%n %a %u:%g %h' bin/sh && readlink link") == "bin/sh 4755 5:6 2\nbin/sh");
    CHECK(sh("cd " + root + "/.. && ls && cat templates/hostname.tpl && grep -c Debian metadata.yaml && stat -c %a .") ==
          "metadata.yaml\nrootfs\ntemplates\n{{ container.name }}\n1\n700");
    world.must(Verb::remove, "image/web", Image{});
    CHECK(fs::is_empty(world.state() + "/images/sha256"));
}

}  // namespace

TEST_CASE("an image in one file is known by the checksum of that file, whatever compressed it") {
    CTL_SKIP_IF(!why_not().empty(), why_not());
    Parts parts;
    for (const auto& [option, file] :
         {std::pair{"-z", "image.tar.gz"}, std::pair{"-J", "image.tar.xz"}, std::pair{"-j", "image.tar.bz2"},
          std::pair{"--zstd", "image.tar.zst"}, std::pair{"", "image.tar"}}) {
        const auto& which = file;
        CAPTURE(which);
        parts.here(fmt::format("tar {} -cf {} metadata.yaml templates rootfs", option, file));
        CHECK(parts.world().preflight("image/web", parts.one(file)).empty());
        parts.world().must(Verb::create, "image/web", parts.one(file));
        CHECK(fingerprint_of(parts.world(), "image/web") == parts.here(fmt::format("sha256sum < {} | cut -d' ' -f1", file)));
        check_whole(parts.world());
    }
}

TEST_CASE("an image in two files is known by the checksum of the metadata followed by the root filesystem") {
    CTL_SKIP_IF(!why_not().empty(), why_not());
    Parts parts;
    parts.here("tar -cJf lxd.tar.xz metadata.yaml templates && tar -C rootfs -cJf root.tar.xz .");
    for (const auto* compressor : {"gzip", "xz", "zstd", "lz4"})
        parts.here(
            fmt::format("tar -C rootfs -c . | tar2sqfs -q -c {0} {0}.squashfs && chmod 644 {0}.squashfs", compressor));
    for (const auto* second : {"root.tar.xz", "gzip.squashfs", "xz.squashfs", "zstd.squashfs", "lz4.squashfs"}) {
        CAPTURE(second);
        Image image = parts.two("lxd.tar.xz", second);
        image.fingerprint = parts.here(fmt::format("cat lxd.tar.xz {} | sha256sum | cut -d' ' -f1", second));
        CHECK(parts.world().preflight("image/web", image).empty());
        parts.world().must(Verb::create, "image/web", image);
        CHECK(fingerprint_of(parts.world(), "image/web") == *image.fingerprint);
        check_whole(parts.world());
    }
}

TEST_CASE("a tarball is read once, to be unpacked and to be summed") {
    CTL_SKIP_IF(!why_not().empty(), why_not());
    Parts parts;
    parts.here("head -c 30M /dev/urandom > rootfs/noise && tar -cf image.tar metadata.yaml templates rootfs");
    const auto bytes_read = [] { return std::stol(sh("awk '/^rchar/ { print $2 }' /proc/$PPID/io")); };
    const auto before = bytes_read();
    parts.world().must(Verb::create, "image/web", parts.one("image.tar"));
    CHECK(bytes_read() - before < 40'000'000);
}

TEST_CASE("devices in a squashfs are left out, and it is read by a child that nobody's files are open to") {
    CTL_SKIP_IF(!why_not().empty(), why_not());
    Parts parts;
    parts.here(
        "tar -cJf lxd.tar.xz metadata.yaml templates && mkdir rootfs/dev && mknod rootfs/dev/sda b 8 0 && "
        "mkfifo rootfs/dev/pipe && gensquashfs -q -k -D rootfs r.squashfs && chmod 644 r.squashfs");
    parts.world().must(Verb::create, "image/web", parts.two("lxd.tar.xz", "r.squashfs"));
    CHECK(sh("ls " + rootfs_of(parts.world(), "image/web") + "/dev") == "pipe");
    parts.world().must(Verb::remove, "image/web", Image{});
    parts.here("chmod 600 r.squashfs");
    check_refused(parts.world(), parts.two("lxd.tar.xz", "r.squashfs"), "chmod a+r");
}

TEST_CASE("a damaged squashfs, and one of endless zeros, leave nothing behind") {
    CTL_SKIP_IF(!why_not().empty(), why_not());
    Parts parts;
    parts.here(
        "tar -cJf lxd.tar.xz metadata.yaml templates && head -c 2M /dev/urandom > rootfs/noise && "
        "gensquashfs -q -k -D rootfs r.squashfs && head -c 1500000 r.squashfs > cut.squashfs && "
        "(head -c 300 r.squashfs; head -c 100000 /dev/urandom) > noise.squashfs && chmod 644 *.squashfs");
    check_refused(parts.world(), parts.two("lxd.tar.xz", "cut.squashfs"), "squashfs");
    check_refused(parts.world(), parts.two("lxd.tar.xz", "noise.squashfs"), "squashfs");
    parts.here(
        "rm rootfs/noise && truncate -s 2G rootfs/zeros && gensquashfs -q -k -D rootfs bomb.squashfs && "
        "chmod 644 bomb.squashfs && rm rootfs/zeros");
    check_refused(parts.world(), parts.two("lxd.tar.xz", "bomb.squashfs"), "times its size");
}

TEST_CASE("an image that says nothing of itself, or what can't be, is refused") {
    CTL_SKIP_IF(!why_not().empty(), why_not());
    const std::pair<std::string, std::string> cases[] = {
        {"creation_date: 1\n", "lacks architecture"},
        {"architecture: x86_64\n", "lacks architecture or creation_date"},
        {"architecture: sparc64\ncreation_date: 1\n", "the image is for \"sparc64\""},
        {"- a list\n", "is no map"},
        {"architecture: [\n", "metadata.yaml:"},
        {"architecture: x86_64\ncreation_date: 1\ntemplates: {/etc/x: {template: ../../etc/shadow}}\n", "unusable"},
        {"architecture: x86_64\ncreation_date: 1\ntemplates: {../etc/x: {template: hostname.tpl}}\n", "unusable"},
        {"architecture: x86_64\ncreation_date: 1\ntemplates: {/etc/x: {template: missing.tpl}}\n", "missing.tpl"},
    };
    for (const auto& [yaml, reason] : cases) {
        const auto& which = yaml;
        CAPTURE(which);
        Parts parts(yaml);
        parts.here("tar -cf image.tar metadata.yaml templates rootfs");
        check_refused(parts.world(), parts.one("image.tar"), reason);
    }
    Parts parts;
    parts.here(
        "tar -C rootfs -cf plain.tar . && tar -cf lxd.tar metadata.yaml templates && mkdir e && tar -C e -cf e.tar .");
    check_refused(parts.world(), parts.one("plain.tar"), "use type tarball");
    check_refused(parts.world(), parts.two("plain.tar", "lxd.tar"), "metadata.yaml");
    check_refused(parts.world(), parts.two("lxd.tar", "e.tar"), "no root filesystem");
    Image other = parts.two("lxd.tar", "plain.tar");
    other.fingerprint = std::string(64, '0');
    check_refused(parts.world(), other, "its fingerprint is");
    CHECK(parts.world().preflight("image/web", parts.two("lxd.tar", "nowhere")).size() == 1);
}

TEST_CASE("a disk that gets full while an image is unpacked keeps what it had") {
    CTL_SKIP_IF(!why_not().empty(), why_not());
    Parts parts;
    parts.here(
        "tar -cJf lxd.tar.xz metadata.yaml templates && head -c 8M /dev/urandom > rootfs/noise && "
        "tar -C rootfs -cJf small.tar.xz . && for i in 1 2 3 4; do cp rootfs/noise rootfs/noise$i; done && "
        "gensquashfs -q -k -D rootfs r.squashfs && chmod 644 r.squashfs");
    fs::create_directories(parts.world().state());
    sh("mount -t tmpfs -o size=24m,mode=711 t " + parts.world().state());
    parts.world().must(Verb::create, "image/web", parts.two("lxd.tar.xz", "small.tar.xz"));
    const auto outcome = parts.world().apply(Verb::create, "image/evil", parts.two("lxd.tar.xz", "r.squashfs"));
    REQUIRE_FALSE(outcome.has_value());
    CHECK(outcome.error().code() == ErrorCode::no_space);
    CHECK(sh("ls -A " + parts.world().state() + "/images/sha256 | wc -l") == "1");
    CHECK(fs::exists(rootfs_of(parts.world(), "image/web") + "/noise"));
}
